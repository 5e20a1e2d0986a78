// An OpenID provider of a test: `oidc-provider` as it is, with keys of its own. Programs get tokens for the API `arena` by
// client credentials (RFC 6749 section 4.4), as JWTs (RFC 9068). Prints its address when it is ready.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const jwk = (kid, alg, [type, options]) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }), kid, alg, use: "sig" });
const keys = [jwk("rsa", "RS256", ["rsa", { modulusLength: 2048 }]), jwk("ec", "ES256", ["ec", { namedCurve: "P-256" }])];

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: ["rsa", "ec"].map((kid) => ({ client_id: `bot-${kid}`, client_secret: "secret", grant_types: ["client_credentials"], redirect_uris: [], response_types: [] })),
    jwks: { keys },
    scopes: ["chat"],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (context) => ({
          scope: "chat", audience: "arena", accessTokenFormat: "jwt",
          jwt: { sign: { alg: context.oidc.client.clientId === "bot-rsa" ? "RS256" : "ES256" } },
        }),
      },
    },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
