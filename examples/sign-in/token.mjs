import { createHmac } from "node:crypto";

const part = (data) => Buffer.from(data).toString("base64url");
const now = Math.floor(Date.now() / 1000);
const claims = {
  iss: "https://example.org", aud: "example", sub: "17", name: "Ann", iat: now, exp: now + 3600,
  topics: { read: ["room:1"], publish: ["room:1"] },
};
const message = `${part('{"alg":"HS256"}')}.${part(JSON.stringify(claims))}`;
console.log(`${message}.${createHmac("sha256", process.env.AMPHI_SECRET).update(message).digest("base64url")}`);
