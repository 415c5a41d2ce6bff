"""The vendor's client against the vault of the tests, and what rsops has wrapped against the vendor's client."""

import base64
import os
import re

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import (
    AzureCliCredential,
    CertificateCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm

VAULT, LOGIN = os.environ["VAULT"], os.environ["LOGIN"]
TENANT, CLIENT, SECRET = (os.environ[f"AZURE_{name}"] for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"))
LOGIN_OPTIONS = {"authority": LOGIN, "disable_instance_discovery": True}
ALGORITHM = EncryptionAlgorithm.rsa_oaep_256

credentials = [
    ClientSecretCredential(TENANT, CLIENT, SECRET, **LOGIN_OPTIONS),
    CertificateCredential(TENANT, CLIENT, os.environ["CERTIFICATE"], **LOGIN_OPTIONS),
    WorkloadIdentityCredential(
        tenant_id=TENANT, client_id=CLIENT, token_file_path=os.environ["FEDERATED_TOKEN"], **LOGIN_OPTIONS
    ),
    ManagedIdentityCredential(),
    AzureCliCredential(),
]
data_key = os.urandom(32)
for credential in credentials:
    key = KeyClient(VAULT, credential).get_key("sops")
    assert key.id == f"{VAULT}/keys/sops/{key.properties.version}", key.id
    client = CryptographyClient(key, credential)
    # the client encrypts by itself, the vault decrypts
    wrapped = client.encrypt(ALGORITHM, data_key).ciphertext
    assert client.decrypt(ALGORITHM, wrapped).plaintext == data_key

# what rsops had the vault wrap
metadata = open("a.yaml").read()
enc = re.search(r"enc: (\S+)", metadata).group(1)
version = re.search(r"version: ([0-9a-f]{32})", metadata).group(1)
client = CryptographyClient(f"{VAULT}/keys/sops/{version}", credentials[0])
unwrapped = client.decrypt(ALGORITHM, base64.urlsafe_b64decode(enc + "=" * (-len(enc) % 4))).plaintext
assert len(unwrapped) == 32

try:
    KeyClient(VAULT, ClientSecretCredential(TENANT, CLIENT, "wrong", **LOGIN_OPTIONS)).get_key("sops")
    raise SystemExit("a wrong secret is good enough")
except ClientAuthenticationError as error:
    assert "AADSTS7000215" in str(error), error
try:
    KeyClient(VAULT, credentials[0]).get_key("nowhere")
    raise SystemExit("there is a key that is not there")
except ResourceNotFoundError as error:
    assert error.error.code == "KeyNotFound", error
try:
    client.decrypt(ALGORITHM, bytes(256))
    raise SystemExit("zeros can be decrypted")
except HttpResponseError as error:
    assert error.status_code == 400, error

print("vault, credentials and wrapped keys are as they should be")
