# A minimal API: whoever has no cookie is refused, preflights included, unless something answers before.
import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import path

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = __name__
LOGGING_CONFIG = None
INSTALLED_APPS = []
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", f"{__name__}.only_with_a_cookie"]

# CONFIGURATION


def only_with_a_cookie(get_response):
    def middleware(request):
        if request.path == "/old":
            return HttpResponseRedirect("/item")
        if request.path == "/private" or request.COOKIES.get("sid") != "1":
            return HttpResponse("who?", status=401)
        return get_response(request)

    return middleware


def item(request):
    return HttpResponse("item", headers={"X-Total-Count": "7"})


def broken(request):
    raise RuntimeError("broken")


urlpatterns = [path("item", item), path("broken", broken)]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "app"
    sys.modules["app"] = sys.modules["__main__"]
    django.setup()
    from django.core.management import call_command

    call_command("check")
    make_server("127.0.0.1", int(os.environ["PORT"]), get_wsgi_application(), Server).serve_forever()
