"""mint_many.py KEYS COUNT FILE: COUNT tokens like the rig's own, one a line, of as many callers. Run with the rig's Python."""
import functools, json, multiprocessing, os, sys, time, uuid

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

ROLES = ("analyst", "reader", "etl")


@functools.cache
def key(keys: str):
    with open(f"{keys}/jwt.key.pem", "rb") as f:
        return load_pem_private_key(f.read(), None)


def mint(task: tuple[str, str, str, int, int]) -> str:
    keys, issuer, audience, now, i = task
    role = ROLES[i % len(ROLES)]
    claims = {"iss": issuer, "aud": audience, "iat": now, "nbf": now - 60, "exp": now + 30 * 86400, "sub": f"caller-{i:06d}",
              "email": f"caller-{i:06d}@rig.test", "jti": str(uuid.uuid4()), "ch_role": role, "groups": ["bi", "clickhouse-" + role]}
    return jwt.encode(claims, key(keys), algorithm="RS256", headers={"kid": "rig-1"})


def main() -> None:
    keys, count, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with open(f"{keys}/env.json") as f:
        env = json.load(f)
    tasks = ((keys, env["iss"], env["aud"], int(time.time()), i) for i in range(count))
    with multiprocessing.Pool() as pool, open(out + ".part", "w") as f:
        for token in pool.imap(mint, tasks, chunksize=500):
            f.write(token + "\n")
    # A file with its final name is whole.
    os.rename(out + ".part", out)


if __name__ == "__main__":
    main()
