"""What `mitmdump -s` loads to serve the lab; the package must be importable."""

from corscope.recorder.lab_addon import Lab

addons = [Lab()]
