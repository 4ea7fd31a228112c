"""Calls every operation of the KMS through boto3, and checks what comes back.

Expects the endpoint, the Region and an access key for everything in the
environment, and in ROLE_* and GRANTEE_* the access keys of a session of a role
and of a user whom policies give nothing. Prints the number of operations, and
fails with the first thing that is not as it should be.
"""

import datetime
import hashlib
import os
import sys

import boto3

from expect import openssl, refused, refused_with, same
from wire import Checker

kms = boto3.client("kms")
checker = Checker(kms)
grantee = boto3.client(
    "kms",
    aws_access_key_id=os.environ["GRANTEE_ACCESS_KEY_ID"],
    aws_secret_access_key=os.environ["GRANTEE_SECRET_ACCESS_KEY"],
)
ACCOUNT = "arn:aws:iam::000000000000:"


def new_key(**kwargs):
    return kms.create_key(**kwargs)["KeyMetadata"]


def keys_and_names():
    key = new_key(Description="first", Tags=[{"TagKey": "team", "TagValue": "archive"}])
    key_id, arn = key["KeyId"], key["Arn"]
    same((key["KeyState"], key["KeyManager"], key["Enabled"]), ("Enabled", "CUSTOMER", True))
    age = datetime.datetime.now(datetime.timezone.utc) - key["CreationDate"]
    assert abs(age.total_seconds()) < 300, age
    kms.update_key_description(KeyId=key_id, Description="second")
    same(kms.describe_key(KeyId=arn)["KeyMetadata"]["Description"], "second")

    kms.create_alias(AliasName="alias/one", TargetKeyId=key_id)
    with refused(kms.exceptions.AlreadyExistsException):
        kms.create_alias(AliasName="alias/one", TargetKeyId=key_id)
    with refused_with("ValidationException"):
        kms.create_alias(AliasName="one", TargetKeyId=key_id)
    with refused(kms.exceptions.InvalidAliasNameException):
        kms.create_alias(AliasName="alias/a:b", TargetKeyId=key_id)
    other = new_key()["KeyId"]
    kms.update_alias(AliasName="alias/one", TargetKeyId=other)
    same(kms.describe_key(KeyId="alias/one")["KeyMetadata"]["KeyId"], other)
    kms.delete_alias(AliasName="alias/one")
    with refused(kms.exceptions.NotFoundException, "Alias arn:aws:kms:us-east-1:000000000000:alias/one is not found."):
        kms.describe_key(KeyId="alias/one")

    kms.tag_resource(KeyId=key_id, Tags=[{"TagKey": "a", "TagValue": ""}, {"TagKey": "b", "TagValue": "ü"}])
    kms.untag_resource(KeyId=key_id, TagKeys=["team"])
    same(kms.list_resource_tags(KeyId=key_id)["Tags"], [{"TagKey": "a", "TagValue": ""}, {"TagKey": "b", "TagValue": "ü"}])
    with refused(kms.exceptions.TagException):
        kms.tag_resource(KeyId=key_id, Tags=[{"TagKey": "aws:a", "TagValue": ""}])

    same(kms.list_key_policies(KeyId=key_id)["PolicyNames"], ["default"])
    policy = kms.get_key_policy(KeyId=key_id)["Policy"]
    kms.put_key_policy(KeyId=key_id, Policy=policy)
    with refused(kms.exceptions.MalformedPolicyDocumentException):
        kms.put_key_policy(KeyId=key_id, Policy="{}")
    with refused(kms.exceptions.NotFoundException):
        kms.get_key_policy(KeyId="arn:aws:kms:us-east-1:000000000000:key/00000000-0000-4000-8000-000000000000")
    with refused(kms.exceptions.InvalidArnException):
        kms.describe_key(KeyId="arn:aws:s3:::bucket")
    return key_id, arn


def use(key_id, arn):
    context = {"app": "diary", "ключ": "значение"}
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"Dear diary", EncryptionContext=context)
    same((sealed["KeyId"], sealed["EncryptionAlgorithm"]), (arn, "SYMMETRIC_DEFAULT"))
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
    same((opened["Plaintext"], opened["KeyId"]), (b"Dear diary", arn))
    same(len(opened["KeyMaterialId"]), 64)
    with refused(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])
    with refused(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=b"\0" * 66)
    with refused(kms.exceptions.DryRunOperationException):
        kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context, DryRun=True)
    with refused_with("ValidationException"):
        kms.encrypt(KeyId=key_id, Plaintext=b"")
    with refused(kms.exceptions.InvalidKeyUsageException):
        kms.generate_mac(KeyId=key_id, Message=b"m", MacAlgorithm="HMAC_SHA_256")

    other = new_key()
    moved = kms.re_encrypt(CiphertextBlob=sealed["CiphertextBlob"], SourceEncryptionContext=context, DestinationKeyId=other["KeyId"])
    same((moved["SourceKeyId"], moved["KeyId"]), (arn, other["Arn"]))
    same(kms.decrypt(CiphertextBlob=moved["CiphertextBlob"])["Plaintext"], b"Dear diary")
    with refused(kms.exceptions.IncorrectKeyException):
        kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], KeyId=key_id)

    data = kms.generate_data_key(KeyId=key_id, KeySpec="AES_128")
    same(len(data["Plaintext"]), 16)
    same(kms.decrypt(CiphertextBlob=data["CiphertextBlob"])["Plaintext"], data["Plaintext"])
    kms.generate_data_key_without_plaintext(KeyId=key_id, NumberOfBytes=1024)
    same(len(kms.generate_random(NumberOfBytes=1024)["Plaintext"]), 1024)

    pair = kms.generate_data_key_pair(KeyId=key_id, KeyPairSpec="ECC_NIST_P256")
    same(openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER", stdin=pair["PrivateKeyPlaintext"]), pair["PublicKey"])
    same(kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"], pair["PrivateKeyPlaintext"])
    kms.generate_data_key_pair_without_plaintext(KeyId=key_id, KeyPairSpec="ECC_NIST_EDWARDS25519")
    same(kms.get_key_last_usage(KeyId=key_id)["KeyLastUsage"]["Operation"], "GenerateDataKeyPairWithoutPlaintext")
    return sealed["CiphertextBlob"], context


def states(key_id, arn, sealed, context):
    kms.disable_key(KeyId=key_id)
    with refused(kms.exceptions.DisabledException, arn + " is disabled."):
        kms.decrypt(CiphertextBlob=sealed, EncryptionContext=context)
    kms.enable_key(KeyId=key_id)
    with refused(kms.exceptions.KMSInvalidStateException, arn + " is not pending deletion."):
        kms.cancel_key_deletion(KeyId=key_id)
    gone = kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    same(gone["KeyState"], "PendingDeletion")
    days = (gone["DeletionDate"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 86400
    assert 6.9 < days < 8.1, days
    with refused(kms.exceptions.KMSInvalidStateException, arn + " is pending deletion."):
        kms.encrypt(KeyId=key_id, Plaintext=b"p")
    kms.cancel_key_deletion(KeyId=key_id)
    kms.enable_key(KeyId=key_id)

    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    status = kms.get_key_rotation_status(KeyId=key_id)
    same((status["KeyRotationEnabled"], status["RotationPeriodInDays"]), (True, 90))
    kms.disable_key_rotation(KeyId=key_id)
    kms.rotate_key_on_demand(KeyId=key_id)
    same(kms.decrypt(CiphertextBlob=sealed, EncryptionContext=context)["Plaintext"], b"Dear diary")


def asymmetric():
    sign = new_key(KeySpec="ECC_NIST_P384", KeyUsage="SIGN_VERIFY")["KeyId"]
    public = kms.get_public_key(KeyId=sign)
    same(public["SigningAlgorithms"], ["ECDSA_SHA_384"])
    digest = hashlib.sha384(b"message").digest()
    made = kms.sign(KeyId=sign, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_384")["Signature"]
    whole = {"KeyId": sign, "Message": b"message", "SigningAlgorithm": "ECDSA_SHA_384"}
    same(kms.verify(Signature=made, **whole)["SignatureValid"], True)
    with refused(kms.exceptions.KMSInvalidSignatureException):
        kms.verify(Signature=made[:-1] + bytes([made[-1] ^ 1]), **whole)
    with refused(kms.exceptions.UnsupportedOperationException):
        kms.enable_key_rotation(KeyId=sign)

    mac = new_key(KeySpec="HMAC_512", KeyUsage="GENERATE_VERIFY_MAC")["KeyId"]
    with_key = {"KeyId": mac, "Message": b"message", "MacAlgorithm": "HMAC_SHA_512"}
    made = kms.generate_mac(**with_key)["Mac"]
    same(kms.verify_mac(Mac=made, **with_key)["MacValid"], True)
    with refused(kms.exceptions.KMSInvalidMacException):
        kms.verify_mac(Mac=made[::-1], **with_key)

    ours, theirs = (new_key(KeySpec="ECC_NIST_P521", KeyUsage="KEY_AGREEMENT")["KeyId"] for _ in range(2))
    secrets = {
        kms.derive_shared_secret(KeyId=a, KeyAgreementAlgorithm="ECDH", PublicKey=kms.get_public_key(KeyId=b)["PublicKey"])["SharedSecret"]
        for a, b in [(ours, theirs), (theirs, ours)]
    }
    same(len(secrets), 1)


def imported():
    key = new_key(Origin="EXTERNAL")
    same(key["KeyState"], "PendingImport")
    given = kms.get_parameters_for_import(KeyId=key["KeyId"], WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_3072")
    with open("wrapping.der", "wb") as f:
        f.write(given["PublicKey"])
    oaep = ["rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256"]
    wrap = ["pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", "wrapping.der"] + [a for o in oaep for a in ("-pkeyopt", o)]
    request = {
        "KeyId": key["KeyId"],
        "ImportToken": given["ImportToken"],
        "EncryptedKeyMaterial": openssl(*wrap, stdin=os.urandom(32)),
    }
    expiry = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    material = kms.import_key_material(ValidTo=expiry, ExpirationModel="KEY_MATERIAL_EXPIRES", **request)["KeyMaterialId"]
    same(kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["CurrentKeyMaterialId"], material)
    same(kms.delete_imported_key_material(KeyId=key["KeyId"])["KeyMaterialId"], material)
    with refused(kms.exceptions.KMSInvalidStateException, key["Arn"] + " is pending import."):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p")
    with refused(kms.exceptions.InvalidCiphertextException):
        kms.import_key_material(ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE", **{**request, "EncryptedKeyMaterial": b"\1" * 384})
    with refused(kms.exceptions.InvalidImportTokenException):
        kms.import_key_material(ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE", **{**request, "ImportToken": b"\1" * 384})
    with refused(kms.exceptions.IncorrectKeyMaterialException):
        kms.import_key_material(
            ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
            **{**request, "EncryptedKeyMaterial": openssl(*wrap, stdin=os.urandom(32))},
        )


def grants(key_id):
    bob = ACCOUNT + "user/bob"
    with refused_with("AccessDeniedException"):
        grantee.encrypt(KeyId=key_id, Plaintext=b"p")
    made = [
        kms.create_grant(
            KeyId=key_id, GranteePrincipal=bob, RetiringPrincipal=bob, Operations=["Encrypt", "RetireGrant"], Name=f"grant-{i}",
            Constraints={"EncryptionContextEquals": {"app": "mail"}},
        )
        for i in range(3)
    ]
    token = made[0]["GrantToken"]
    grantee.encrypt(KeyId=key_id, Plaintext=b"p", EncryptionContext={"app": "mail"}, GrantTokens=[token])
    with refused_with("AccessDeniedException"):
        grantee.encrypt(KeyId=key_id, Plaintext=b"p", EncryptionContext={"app": "mail", "to": "carol"})
    listed = kms.list_retirable_grants(RetiringPrincipal=bob)["Grants"]
    same(sorted(g["Name"] for g in listed), ["grant-0", "grant-1", "grant-2"])
    same(listed[0]["Constraints"], {"EncryptionContextEquals": {"app": "mail"}})
    grantee.retire_grant(GrantToken=token)
    kms.retire_grant(KeyId=kms.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"], GrantId=made[1]["GrantId"])
    with refused(kms.exceptions.NotFoundException):
        kms.revoke_grant(KeyId=key_id, GrantId=made[0]["GrantId"])
    for g in kms.list_grants(KeyId=key_id)["Grants"]:
        kms.revoke_grant(KeyId=key_id, GrantId=g["GrantId"])
    same(kms.list_grants(KeyId=key_id)["Grants"], [])


def multi_region():
    key = new_key(MultiRegion=True)
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p")["CiphertextBlob"]
    replica = kms.replicate_key(KeyId=key["KeyId"], ReplicaRegion="ap-southeast-2")["ReplicaKeyMetadata"]
    same((replica["KeyId"], replica["Arn"].split(":")[3]), (key["KeyId"], "ap-southeast-2"))
    there = boto3.client("kms", region_name="ap-southeast-2")
    same(there.decrypt(CiphertextBlob=sealed)["KeyId"], replica["Arn"])
    with refused(kms.exceptions.AlreadyExistsException):
        kms.replicate_key(KeyId=key["KeyId"], ReplicaRegion="ap-southeast-2")
    kms.update_primary_region(KeyId=key["KeyId"], PrimaryRegion="ap-southeast-2")
    now = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["MultiRegionConfiguration"]
    same((now["MultiRegionKeyType"], now["PrimaryKey"]["Region"]), ("REPLICA", "ap-southeast-2"))


def paginators(key_id):
    bob = ACCOUNT + "user/bob"
    for i in range(5):
        kms.create_alias(AliasName=f"alias/page-{i}", TargetKeyId=key_id)
        kms.tag_resource(KeyId=key_id, Tags=[{"TagKey": f"page-{i}", "TagValue": "t"}])
        kms.create_grant(KeyId=key_id, GranteePrincipal=bob, RetiringPrincipal=bob, Operations=["Encrypt"], Name=f"page-{i}")
        kms.rotate_key_on_demand(KeyId=key_id)
    for name, result, arguments, least in [
        ("list_keys", "Keys", {}, 10),
        ("list_aliases", "Aliases", {}, 5),
        ("list_resource_tags", "Tags", {"KeyId": key_id}, 7),
        ("list_grants", "Grants", {"KeyId": key_id}, 5),
        ("list_retirable_grants", "Grants", {"RetiringPrincipal": bob}, 5),
        ("list_key_policies", "PolicyNames", {"KeyId": key_id}, 1),
        ("list_key_rotations", "Rotations", {"KeyId": key_id, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"}, 7),
    ]:
        whole = getattr(kms, name)(**arguments)[result]
        assert len(whole) >= least, (name, whole)
        for size in 1, 3, 1000:
            pages = list(kms.get_paginator(name).paginate(PaginationConfig={"PageSize": size}, **arguments))
            same([len(p[result]) > size for p in pages], [False] * len(pages))
            same([entry for p in pages for entry in p[result]], whole)
    with refused(kms.exceptions.InvalidMarkerException):
        kms.list_keys(Marker="no such marker")


def session_of_a_role(key_id):
    keys = {
        "aws_access_key_id": os.environ["ROLE_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["ROLE_SECRET_ACCESS_KEY"],
        "aws_session_token": os.environ["ROLE_SESSION_TOKEN"],
    }
    role = boto3.client("kms", **keys)
    role.describe_key(KeyId=key_id)
    with refused_with("AccessDeniedException"):
        role.disable_key(KeyId=key_id)
    for wrong, code in [
        ({"aws_session_token": keys["aws_session_token"][:-4] + "AAAA"}, "UnrecognizedClientException"),
        ({"aws_session_token": None}, "UnrecognizedClientException"),
        ({"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}, "UnrecognizedClientException"),
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
    ]:
        with refused_with(code):
            boto3.client("kms", **{**keys, **wrong}).describe_key(KeyId=key_id)


def custom_key_stores():
    """Calls the operations that this KMS does not have, and returns their names."""
    unchecked = boto3.client("kms")  # the model does not know this error for them
    names = {name for name in kms.meta.service_model.operation_names if "CustomKeyStore" in name}
    for name in names:
        method = {v: k for k, v in kms.meta.method_to_api_mapping.items()}[name]
        arguments = {
            "CreateCustomKeyStore": {"CustomKeyStoreName": "store"},
            "DescribeCustomKeyStores": {},
        }.get(name, {"CustomKeyStoreId": "cks-1234567890abcdef0"})
        with refused(kms.exceptions.UnsupportedOperationException):
            getattr(unchecked, method)(**arguments)
    return names


def the_checker_itself():
    """Shows the checker answers that it has to find fault with."""
    probe = boto3.client("kms")
    for operation, status, body in [
        ("ListKeys", 200, b'{"Keys": {}}'),
        ("ListKeys", 200, b'{"Keys": [{"KeyId": 1}]}'),
        ("ListKeys", 200, b'{"Keys": [], "More": true}'),
        ("ListKeys", 200, b'{"Truncated": "false"}'),
        ("DescribeKey", 200, b'{"KeyMetadata": {}}'),
        ("DescribeKey", 200, b'{"KeyMetadata": {"KeyId": "k", "KeyState": "enabled"}}'),
        ("DescribeKey", 200, b'{"KeyMetadata": {"KeyId": "k", "CreationDate": "2026-01-02"}}'),
        ("Encrypt", 200, b'{"CiphertextBlob": "*"}'),
        ("EnableKey", 200, b'{"KeyId": "k"}'),
        ("EnableKey", 400, b'{"__type": "InvalidMarkerException"}'),
        ("EnableKey", 400, b'{"__type": "NotFoundException", "text": "t"}'),
    ]:
        found = Checker(probe)
        response = {"status_code": status, "headers": {"x-amzn-RequestId": "i"}, "body": body}
        found.check(probe.meta.service_model.operation_model(operation), response)
        assert found.wrong, body


def main():
    the_checker_itself()
    key_id, arn = keys_and_names()
    sealed, context = use(key_id, arn)
    states(key_id, arn, sealed, context)
    asymmetric()
    imported()
    grants(key_id)
    multi_region()
    paginators(key_id)
    session_of_a_role(key_id)
    missed = set(kms.meta.service_model.operation_names) - custom_key_stores() - checker.answered
    if missed or checker.wrong:
        sys.exit("\n".join([f"not called: {name}" for name in sorted(missed)] + checker.wrong))
    print(len(checker.answered), "operations")


main()
