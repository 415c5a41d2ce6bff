"""The SDK of HuaweiCloud against the cloud of the tests."""

import os
from base64 import b64encode

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.auth.provider import EnvCredentialProvider, MetadataCredentialProvider
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, SdkException
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkkms.v2 import (
    DecryptDataRequest,
    DecryptDataRequestBody,
    EncryptDataRequest,
    EncryptDataRequestBody,
    KmsClient,
)

cloud, key, project = os.environ["CLOUD"], os.environ["KEY"], os.environ["PROJECT"]
plaintext = b64encode(b"secret").decode()


def client(credentials):
    return KmsClient.new_builder().with_credentials(credentials).with_region(Region("cn-north-4", cloud)).build()


def encrypt(client, key=key):
    body = EncryptDataRequestBody(key_id=key, plain_text=plaintext, encryption_algorithm="SYMMETRIC_DEFAULT")
    return client.encrypt_data(EncryptDataRequest(body=body)).cipher_text


def decrypt(client, ciphertext, key=key):
    body = DecryptDataRequestBody(key_id=key, cipher_text=ciphertext, encryption_algorithm="SYMMETRIC_DEFAULT")
    return client.decrypt_data(DecryptDataRequest(body=body)).plain_text


def refused(call, status, words):
    try:
        call()
    except ClientRequestException as error:
        assert error.status_code == status and words in error.error_msg, error
    else:
        raise AssertionError(words)


main = client(BasicCredentials("AKMAIN", "SKMAIN", project))
ciphertext = encrypt(main)
assert decrypt(main, ciphertext) == plaintext
refused(lambda: decrypt(main, "AAAA" + ciphertext[4:]), 400, "ciphertext is invalid")
refused(lambda: encrypt(main, "00000000-0000-0000-0000-000000000000"), 400, "Invalid key ID")
refused(lambda: encrypt(client(BasicCredentials("AKMAIN", "wrong", project))), 401, "verify aksk signature fail")
refused(lambda: encrypt(client(BasicCredentials("AKMAIN", "SKMAIN", "another"))), 403, "not yours")
refused(lambda: encrypt(client(BasicCredentials("AKPOOR", "SKPOOR", project))), 403, "kms:cmk:crypto")

session = BasicCredentials("AKTEMP", "SKTEMP", project).with_security_token("token")
assert decrypt(client(session), ciphertext) == plaintext
refused(lambda: encrypt(client(BasicCredentials("AKTEMP", "SKTEMP", project))), 401, "x-security-token")

# without a project, IAM is asked for it
assert decrypt(client(BasicCredentials("AKMAIN", "SKMAIN").with_iam_endpoint(cloud)), ciphertext) == plaintext

# the agency of the machine; its address is reached through a proxy, which is the cloud of the tests
os.environ["http_proxy"] = cloud
agency = MetadataCredentialProvider.get_basic().get_credentials()
del os.environ["http_proxy"]
assert agency.ak == "AKMETA"
assert decrypt(client(agency.with_project_id(project)), ciphertext) == plaintext

# the token of an identity provider
federated = EnvCredentialProvider.get_basic().get_credentials().with_iam_endpoint(cloud)
assert decrypt(client(federated), ciphertext) == plaintext
