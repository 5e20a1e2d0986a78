import base64, hmac, json, os, time

part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
now = int(time.time())
claims = {
    "iss": "https://example.org", "aud": "example", "sub": "17", "name": "Ann", "iat": now, "exp": now + 3600,
    "topics": {"read": ["room:1"], "publish": ["room:1"]},
}
message = part(b'{"alg":"HS256"}') + b"." + part(json.dumps(claims).encode())
print((message + b"." + part(hmac.digest(os.environb[b"AMPHI_SECRET"], message, "sha256"))).decode())
