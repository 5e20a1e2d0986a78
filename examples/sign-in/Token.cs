using System;
using System.Security.Cryptography;
using System.Text;

class Token {
    static string Part(byte[] data) => Convert.ToBase64String(data).TrimEnd('=').Replace('+', '-').Replace('/', '_');

    static void Main() {
        var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var claims = $@"{{""iss"":""https://example.org"",""aud"":""example"",""sub"":""17"",""name"":""Ann"",""iat"":{now},
            ""exp"":{now + 3600},""topics"":{{""read"":[""room:1""],""publish"":[""room:1""]}}}}";
        var message = Part(Encoding.UTF8.GetBytes(@"{""alg"":""HS256""}")) + "." + Part(Encoding.UTF8.GetBytes(claims));
        var sign = new HMACSHA256(Encoding.UTF8.GetBytes(Environment.GetEnvironmentVariable("AMPHI_SECRET")));
        Console.WriteLine(message + "." + Part(sign.ComputeHash(Encoding.UTF8.GetBytes(message))));
    }
}
