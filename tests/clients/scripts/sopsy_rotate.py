"""Gives secrets.yaml a new data key with sopsy."""

from sopsy import Sops

SECRETS = {"user": "app", "port": 5432, "password": "secret"}

rotated = Sops("secrets.yaml").rotate()
assert rotated["password"].startswith("ENC["), rotated
assert Sops("secrets.yaml", in_place=True).rotate() is None
assert Sops("secrets.yaml").decrypt() == SECRETS
