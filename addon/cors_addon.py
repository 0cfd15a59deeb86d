"""What `mitmproxy -s` loads. State and behaviour are in the package, which never needs a name in this file."""

from corscope.addon import CorsAddon

addons = [CorsAddon()]
