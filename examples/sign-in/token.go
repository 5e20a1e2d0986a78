package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

func main() {
	part := base64.RawURLEncoding.EncodeToString
	now := time.Now().Unix()
	claims, _ := json.Marshal(map[string]any{
		"iss": "https://example.org", "aud": "example", "sub": "17", "name": "Ann", "iat": now, "exp": now + 3600,
		"topics": map[string][]string{"read": {"room:1"}, "publish": {"room:1"}},
	})
	message := part([]byte(`{"alg":"HS256"}`)) + "." + part(claims)
	sign := hmac.New(sha256.New, []byte(os.Getenv("AMPHI_SECRET")))
	sign.Write([]byte(message))
	fmt.Println(message + "." + part(sign.Sum(nil)))
}
