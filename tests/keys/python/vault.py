"""hvac against the Vault of the tests."""

import os
from base64 import b64encode

import hvac
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, VaultDown

url = os.environ["VAULT_ADDR"]
root = hvac.Client(url=url, token=os.environ["ROOT"])
assert root.is_authenticated() and not root.sys.is_sealed()
assert not hvac.Client(url=url, token="hvs.wrong").is_authenticated()

transit = root.secrets.transit
transit.create_key("mine")
plaintext = b64encode(b"secret").decode()
first = transit.encrypt_data("mine", plaintext)["data"]["ciphertext"]
transit.rotate_key("mine")
second = transit.encrypt_data("mine", plaintext)["data"]["ciphertext"]
assert first.startswith("vault:v1:") and second.startswith("vault:v2:"), (first, second)
for ciphertext in first, second:
    assert transit.decrypt_data("mine", ciphertext)["data"]["plaintext"] == plaintext
key = transit.read_key("mine")["data"]
assert key["latest_version"] == 2 and list(key["keys"]) == ["1", "2"], key


def refused(kind, call, words):
    try:
        call()
    except kind as error:
        assert words in str(error), error
    else:
        raise AssertionError(words)


refused(InvalidRequest, lambda: transit.decrypt_data("mine", first[:-8] + "AAAAAAA="), "message authentication failed")
refused(InvalidRequest, lambda: transit.decrypt_data("mine", "junk"), "no prefix")
refused(InvalidRequest, lambda: transit.encrypt_data("other", plaintext), "encryption key not found")
refused(InvalidPath, lambda: transit.encrypt_data("mine", plaintext, mount_point="nowhere"), "no handler for route")

reader = hvac.Client(url=url, token="hvs.reader")
reader.secrets.transit.decrypt_data("mine", first)
refused(Forbidden, lambda: reader.secrets.transit.encrypt_data("mine", plaintext), "permission denied")
team = hvac.Client(url=url, token="hvs.team", namespace="team")
team.secrets.transit.encrypt_data("k", plaintext)
refused(Forbidden, lambda: hvac.Client(url=url, token="hvs.team").secrets.transit.encrypt_data("k", plaintext), "denied")

one = root.secrets.kv.v1
one.create_or_update_secret("a/b", secret={"x": "y"}, mount_point="kv")
assert one.read_secret("a/b", mount_point="kv")["data"] == {"x": "y"}
assert one.list_secrets("a", mount_point="kv")["data"]["keys"] == ["b"]
one.delete_secret("a/b", mount_point="kv")
refused(InvalidPath, lambda: one.read_secret("a/b", mount_point="kv"), "")

two = root.secrets.kv.v2
assert two.create_or_update_secret("a/b", secret={"x": 1})["data"]["version"] == 1
assert two.create_or_update_secret("a/b", secret={"x": 2}, cas=1)["data"]["version"] == 2
refused(InvalidRequest, lambda: two.create_or_update_secret("a/b", secret={}, cas=1), "check-and-set")
secret = two.read_secret_version("a/b", raise_on_deleted_version=True)["data"]
assert secret["data"] == {"x": 2} and secret["metadata"]["version"] == 2, secret
assert two.read_secret_metadata("a/b")["data"]["current_version"] == 2
assert two.list_secrets("a")["data"]["keys"] == ["b"]

root.sys.seal()
assert root.sys.is_sealed()
refused(VaultDown, lambda: transit.encrypt_data("mine", plaintext), "sealed")
