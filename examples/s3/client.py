"""What an application does with S3, by boto3: client.py URL BUCKET OBJECTS. Prints what it found as JSON."""

import hashlib
import importlib
import json
import sys
from typing import Any

# Without types, and only the system's Python has them.
boto3, transfer, config, exceptions = (
    importlib.import_module(name) for name in ("boto3", "boto3.s3.transfer", "botocore.config", "botocore.exceptions")
)

URL, BUCKET, OBJECTS = sys.argv[1], sys.argv[2], int(sys.argv[3])
S3 = boto3.client(
    "s3",
    endpoint_url=URL,
    region_name="us-east-1",
    aws_access_key_id="key",
    aws_secret_access_key="secret",
    config=config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
)
# What S3 clients spell in their own way: each is one object.
SPELLINGS = ["a b.txt", "a+b.txt", "100%.txt", "ü/é.txt", "a%2Fb.txt", "q?r=1&s.txt", "~t.txt", "it's(1)*!.txt"]


def body(name: str, size: int = 5000) -> bytes:
    """Returns what an object has."""
    return (hashlib.sha256(name.encode()).digest() * (size // 32 + 1))[:size]


def same(name: str, expected: bytes, **more: Any) -> bool:
    """Whether an object is what was put."""
    return S3.get_object(Bucket=BUCKET, Key=name, **more)["Body"].read() == expected


def gone(name: str) -> bool:
    """Whether an object is not there."""
    try:
        S3.head_object(Bucket=BUCKET, Key=name)
    except exceptions.ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    return False


names = [f"photos/{number}.jpg" for number in range(OBJECTS)]
for name in [*names, *SPELLINGS]:
    S3.put_object(Bucket=BUCKET, Key=name, Body=body(name), ContentType="image/jpeg")
found: dict[str, Any] = {"put and got": sum(same(name, body(name)) for name in names)}
found["spellings"] = [name for name in SPELLINGS if not same(name, body(name))]
found["head"] = S3.head_object(Bucket=BUCKET, Key=names[0])["ContentLength"]
found["range"] = same(names[0], body(names[0])[100:200], Range="bytes=100-199")
large = body("large", 20 << 20)
parts = transfer.TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20)
with open(sys.argv[4], "wb") as file:
    file.write(large)
S3.upload_file(sys.argv[4], BUCKET, "large.bin", Config=parts)
found["multipart of 20 MiB"] = same("large.bin", large)
S3.delete_object(Bucket=BUCKET, Key=names[1])
found["deleted"] = gone(names[1])
print(json.dumps(found))
