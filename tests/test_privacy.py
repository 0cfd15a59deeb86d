"""What is shown of a URL."""

from __future__ import annotations

import pytest

from corscope.privacy import HIDDEN, LONGEST_NAME, shown_origin, shown_text, shown_url


@pytest.mark.parametrize(
    "url",
    [
        "https://b.test/x",
        "https://b.test/x?page=2&sort=name",
        "https://b.test/x?",
        "https://b.test/x?token",
        "https://b.test/@user/post?q=a@b",
        "https://b.test/path/page=1;v=2/x",
        "https://b.test/x?zip_code=1&keyword=2&passage=3",
        "/relative?x=1",
        "https://b.test/x?filter=%7B%22page%22%3A2%7D&where=a=1&q=basic",
        "https://b.test/eyJ/eyJx.js?sort_key=name&apply=1",
        "https://b.test/x?country_code=1&residence=2&presid=3&task=4&desktk5=5",
        "https://b.test/x?bypass=1&compass=2&postal_code=3&sacred=4&card=5&public_key_id=6&announce=7",
        "https://eyJ.a.b.test/www.a.b.c/x.y.z?v=1.2.3",
        "",
    ],
)
def test_ordinary_urls_are_shown_as_they_are(url: str) -> None:
    assert shown_url(url) == url


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "id_token",
        "csrfToken",
        "client_secret",
        "password",
        "passwd",
        "api_key",
        "apikey",
        "API-KEY",
        *("sign", "_sig", "sess", "sess_id", "ssid", "SESSDATA", "pswd", "psw", "userPass", "user_pw", "pat", "otac"),
        *("stream_key", "user_code"),
        "key",
        "sig",
        "signature",
        "X-Amz-Signature",
        "X-Amz-Credential",
        "code",
        "session",
        "PHPSESSIONID",
        "sid",
        "auth",
        "jwt",
        "SAMLResponse",
        "otp",
        "access%5Ftoken",
        "user[password]",
        "user%5Bpassword%5D",
        "login[code]",
        "csrf",
        "xsrf",
        "pin",
        "mfa",
        "totp",
        "id_tok",
        "_csrf",
        "csrfmiddlewaretoken",
        "XSRF-TOKEN",
        "PHPSESSID",
        "JSESSIONID",
        "connect.sid",
        "private_key",
        "reset_code",
        "verificationCode",
        "tkn",
        "app_key",
        "subscription-key",
        "consumerKey",
        "passcode",
        "oobCode",
        "code_verifier",
        "client_assertion",
        "hmac",
        "user_pwd",
        "userpwd",
        "user_pass",
        "db_pass",
        "pass2",
        "creds",
        "otp_code",
        "totp_code",
        "mfa_code",
        "pin_code",
        "security_code",
        "recovery_code",
        "code[]",
        "encryption_key",
        "signing_key",
        "service_key",
        "admin_key",
        "_wpnonce",
        "hdnts",
        "cvv",
        "card_number",
        "x" * (LONGEST_NAME + 1),
    ],
)
@pytest.mark.parametrize("frame", ["?{}", "?a=1&{}", "?{}&b=2", "?a=1;{}", "#{}", "?a#{}", "?next=/cb?{}"])
def test_values_of_secrets_are_hidden(name: str, frame: str) -> None:
    shown = shown_url("https://b.test/x" + frame.format(f"{name}=SECRET"))
    assert shown == "https://b.test/x" + frame.format(f"{name}={HIDDEN}")


@pytest.mark.parametrize("frame", ["/a.b.{}", "/reset/{}", "/reset/{}/x?a=1", "/x?y={}", "/x?y=%22{}%22", "/x#{}"])
def test_a_json_web_token_is_hidden_wherever_it_stands(frame: str) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x-Zk_9"
    assert shown_url("https://b.test" + frame.format(token)) == "https://b.test" + frame.format(HIDDEN)


@pytest.mark.parametrize(
    "url",
    [
        "/x?token=a;SECRET",
        "/x#access_token=a;SECRET&b=1",
        "/x?cookie=a=1;sess=SECRET",
        "/x?%7B%22token%22:%22SECRET%22%7D",
        "/x?token%3DSECRET",
        "/x?a%26token%3DSECRET",
        "/x?tok%2565n=SECRET",
        "/x/token=SECRET/y",
        "/proxy/https%3A%2F%2Fu%3ASECRET%40h%2F",
        "/x;token=a/SECRET;b=1",
    ],
)
def test_secrets_in_odd_places_are_hidden(url: str) -> None:
    shown = shown_url(f"https://b.test{url}")
    assert "SECRET" not in shown
    assert HIDDEN in shown


@pytest.mark.parametrize(
    "location", ["login;jsessionid=SECRET", "x&token=SECRET", "token=SECRET", "a/b;a=1;sid=SECRET"]
)
def test_a_location_that_is_no_whole_url_keeps_its_secrets_too(location: str) -> None:
    assert shown_url(location) == location.replace("SECRET", HIDDEN)


@pytest.mark.parametrize(
    "query",
    [
        "q=hello%20world&page=2&x=https://b.test/a:b&time=10:30&filter=name:joe",
        "design=1&assign=2&message=pass%20me&compass=3&signal=1&spath=a%20b&x%20y",
    ],
)
def test_what_only_looks_like_it_stays(query: str) -> None:
    assert shown_url(f"https://b.test/x?{query}") == f"https://b.test/x?{query}"


def test_path_parameters_count() -> None:
    assert shown_url("https://b.test/x;jsessionid=SECRET;a=1") == "https://b.test/x;jsessionid=…;a=1"
    assert "SECRET" not in shown_url("https://b.test/x;jsessionid=SECRET?a=1")


def test_a_url_within_a_url_is_hidden_with_its_secret() -> None:
    url = "https://b.test/x?next=https%3A%2F%2Fc.test%2F%3Ftoken%3DSECRET&a=1"
    assert shown_url(url) == "https://b.test/x?next=…&a=1"
    assert shown_url("https://b.test/x?next=https://u:SECRET@c.test/") == "https://b.test/x?next=https://…@c.test/"
    assert shown_url("https://b.test/x?next=https%253A%252F%252Fu%253ASECRET%2540c.test") == "https://b.test/x?next=…"
    plain = "https://b.test/x?next=https%3A%2F%2Fc.test%2F%3Fpage%3D2&a=1"
    assert shown_url(plain) == plain


@pytest.mark.parametrize(
    "value",
    [
        "token=SECRET",
        '{"token":"SECRET"}',
        "%7B%22a%22%3A1%2C%22token%22%3A%22SECRET%22%7D",
        "%257B%2522password%2522%253A%2522SECRET%2522%257D",
        "Bearer%20SECRET",
        "Basic+SECRET",
        "authorization%3A%20Bearer%20SECRET",
        "token:SECRET",
        "X-Api-Key:SECRET",
        "Cookie%3A%20sid%3DSECRET",
        "%5B%22Cookie%22%2C%22a%3DSECRET%22%5D",
        "query%7Blogin(password%3A%22SECRET%22)%7D",
        "eyJhbGciOiJI%2EeyJzdWIi%2ESECRET",
    ],
)
def test_a_value_that_holds_a_secret_is_hidden(value: str) -> None:
    assert shown_url(f"https://b.test/x?a={value}&b=2") == "https://b.test/x?a=…&b=2"


def test_an_empty_secret_and_a_question_mark_within_one() -> None:
    assert shown_url("https://b.test/x?token=&a=1") == "https://b.test/x?token=…&a=1"
    assert shown_url("https://b.test/x?token=SEC?RET") == "https://b.test/x?token=…"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:SECRET@b.test/x", "https://…@b.test/x"),
        ("https://SECRET@b.test/x", "https://…@b.test/x"),
        ("https://u:SEC@RET@b.test/x", "https://…@b.test/x"),
        ("//u:SECRET@b.test/x", "//…@b.test/x"),
        ("HTTPS://u:SECRET@b.test/x", "HTTPS://…@b.test/x"),
        ("https:\\\\u:SECRET@b.test/x", "https:\\\\…@b.test/x"),
        ("https:u:SECRET@b.test/x", "https:…@b.test/x"),
        ("ht\ttps:/\t/u:SECRET@b.test/x", "https://…@b.test/x"),
        ("https://u:SECRET@b.test:port/x?token=SECRET", "https://…@b.test:port/x?token=…"),
    ],
)
def test_user_info_is_hidden(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_what_is_shown_stays_as_it_is() -> None:
    once = shown_url("https://u:p@b.test/x?token=1&next=/y?code=2#sid=3")
    assert shown_url(once) == once


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece", ["?a=", "%25", "&token=", "?next=%3F", "//@", ";a=%2525", "a" * 50 + "token", "%22", "'a"]
)
def test_long_urls_take_no_long_time(piece: str) -> None:
    """A URL may be as long as a proxy's line limit allows."""
    url = "https://b.test/?x=" + piece * (64_000 // len(piece))
    assert shown_url(url).startswith("https://b.test/?x=")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Invalid header line: b'Set-Cookie sid=SECRET'", "Invalid header line: “…”"),
        ("""Bad HTTP response line: b"it's SECRET" (1)""", "Bad HTTP response line: “…” (1)"),
        (
            "Received header value surrounded by whitespace b' SECRET\\' SECRET'",
            "Received header value surrounded by whitespace “…”",
        ),
        ("Illegal character in header value: b'SECRET", "Illegal character in header value: “…”"),
        ("invalid content-length header: 'SECRET'", "invalid content-length header: “…”"),
        ("no answer from https://u:SECRET@b.test/?token=SECRET", "no answer from https://…@b.test/?token=…"),
        ("refused Bearer SECRET", "refused Bearer …"),
        ("refused Basic dTpw", "refused Basic …"),
        ("refused eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x-Zk_9", "refused …"),
        ("could not negotiate a common version", "could not negotiate a common version"),
        ("unsupported digest algorithm", "unsupported digest algorithm"),
        ("refused token=SECRET", "refused token=…"),
        ("[Errno 111] Connect call failed ('127.0.0.1', 1)", "[Errno 111] Connect call failed ('127.0.0.1', 1)"),
        ("Basic constraints of CA cert not marked critical", "Basic constraints of CA cert not marked critical"),
        ("peer closed connection", "peer closed connection"),
    ],
)
def test_of_a_sentence_nothing_is_shown_that_came_over_the_wire(said: str, shown: str) -> None:
    assert shown_text(said) == shown


def test_a_users_name_in_an_origin_is_hidden() -> None:
    assert shown_origin(b"https://u:SECRET@a.test") == "https://…@a.test"
    assert shown_origin(b"https://a.test:8443") == "https://a.test:8443"
    assert shown_origin(b"https://a.test/?token=SECRET") == "https://a.test/?token=…"
