"""Google's own clients against the server of the tests: what they accept and send is what Google does."""

import json
import os
import sys

import google.auth
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth import identity_pool, impersonated_credentials
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.cloud import kms_v1
from google.oauth2 import credentials as oauth2
from google.oauth2 import service_account

world = json.load(sys.stdin)
SCOPES = ["https://www.googleapis.com/auth/cloudkms"]


def user(**changes):
    info = {**world["user"], **changes}
    # `from_authorized_user_info` does not look at the address
    names = ["refresh_token", "token_uri", "client_id", "client_secret"]
    return oauth2.Credentials(None, **{name: info[name] for name in names})


def client(credentials):
    options = ClientOptions(api_endpoint=world["url"])
    return kms_v1.KeyManagementServiceClient(
        transport="rest", credentials=credentials, client_options=options
    )


def refuses(error, call, words):
    try:
        call()
    except error as refusal:
        assert words in str(refusal), refusal
    else:
        raise AssertionError(f"not refused: {words}")


def works_for(credentials):
    kms = client(credentials)
    sealed = kms.encrypt(request={"name": world["key"], "plaintext": b"a data key"})
    assert sealed.name == world["key"] + "/cryptoKeyVersions/1", sealed.name
    opened = kms.decrypt(request={"name": world["key"], "ciphertext": sealed.ciphertext})
    assert opened.plaintext == b"a data key"
    return sealed.ciphertext


# a token as it is
kms = client(oauth2.Credentials(world["token"]))
ciphertext = works_for(oauth2.Credentials(world["token"]))
changed = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
refuses(
    exceptions.BadRequest,
    lambda: kms.decrypt(request={"name": world["key"], "ciphertext": changed}),
    "Decryption failed",
)
refuses(
    exceptions.NotFound,
    lambda: kms.encrypt(request={"name": world["key"] + "x", "plaintext": b"a"}),
    "not found",
)
refuses(
    exceptions.BadRequest,
    lambda: kms.encrypt(request={"name": world["disabled"], "plaintext": b"a"}),
    "DISABLED",
)
refuses(
    exceptions.Forbidden,
    lambda: client(oauth2.Credentials(world["reader"])).encrypt(
        request={"name": world["key"], "plaintext": b"a"}
    ),
    "cloudkms.cryptoKeyVersions.useToEncrypt",
)
# the client wants to refresh a token that is not accepted
refuses(
    RefreshError,
    lambda: client(oauth2.Credentials("ya29.none")).encrypt(
        request={"name": world["key"], "plaintext": b"a"}
    ),
    "do not contain the necessary fields",
)

# the key of a service account, by way of a token and by itself
info = world["service_account"]
works_for(service_account.Credentials.from_service_account_info(info, scopes=SCOPES))
own = service_account.Credentials.from_service_account_info(info, scopes=SCOPES)
works_for(own.with_always_use_jwt_access(True))

# a user who has logged in
works_for(user())
refuses(
    RefreshError,
    lambda: user(refresh_token="1//none").refresh(Request()),
    "invalid_grant",
)

# somebody who acts as a service account
acting = impersonated_credentials.Credentials(
    source_credentials=user(),
    target_principal=world["target"],
    target_scopes=SCOPES,
    iam_endpoint_override=world["impersonation_url"],
)
works_for(acting)

# a workload of another provider
works_for(identity_pool.Credentials.from_info(world["federated"], scopes=SCOPES))

# the service account of the machine
assert os.environ["GCE_METADATA_HOST"] in world["url"]
found, project = google.auth.default(scopes=SCOPES)
assert project == "acme", project
works_for(found)
print("ok")
