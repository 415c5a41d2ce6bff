"""Encrypts secrets.yaml in place with sopsy, and reads it in every way that it offers."""

from pathlib import Path

from sopsy import Sops, SopsyCommandFailedError, SopsyInOutType, SopsyInputSource

SECRETS = {"user": "app", "port": 5432, "password": "secret"}

sealed = Sops("secrets.yaml").encrypt()
assert sealed["password"].startswith("ENC[") and "sops" in sealed, sealed

assert Sops("secrets.yaml", in_place=True).encrypt() is None
assert Sops(Path("secrets.yaml")).decrypt() == SECRETS
assert Sops("secrets.yaml").get("port") == 5432
assert Sops("secrets.yaml").get("nothing", default="something") == "something"

as_json = Sops("secrets.yaml", output_type=SopsyInOutType.JSON).decrypt(to_dict=False)
assert as_json == b'{\n\t"user": "app",\n\t"port": 5432,\n\t"password": "secret"\n}\n', as_json
assert Sops("secrets.yaml", extract='["password"]').decrypt(to_dict=False) == b"secret"

assert Sops("secrets.yaml", output="plain.yaml").decrypt() is None
assert Path("plain.yaml").read_text() == "user: app\nport: 5432\npassword: secret\n"

from_stdin = {"input_type": SopsyInOutType.JSON, "input_source": SopsyInputSource.STDIN}
through_pipes = Sops(b'{"a": "b"}', **from_stdin).encrypt(to_dict=False)
assert Sops(through_pipes, **from_stdin).decrypt() == {"a": "b"}

try:
    Sops("plain.yaml").decrypt()
except SopsyCommandFailedError as error:
    assert "sops metadata not found" in str(error), error
else:
    raise AssertionError("a file in clear was decrypted")
