<?php
$part = fn($data) => rtrim(strtr(base64_encode($data), '+/', '-_'), '=');
$now = time();
$claims = [
    'iss' => 'https://example.org', 'aud' => 'example', 'sub' => '17', 'name' => 'Ann', 'iat' => $now, 'exp' => $now + 3600,
    'topics' => ['read' => ['room:1'], 'publish' => ['room:1']],
];
$message = $part('{"alg":"HS256"}') . '.' . $part(json_encode($claims));
echo $message . '.' . $part(hash_hmac('sha256', $message, getenv('AMPHI_SECRET'), true)), "\n";
