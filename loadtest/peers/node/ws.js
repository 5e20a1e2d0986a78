// `ws`: clients name the topics they read; every 25 s the server pings, and lets go of who did not answer.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { publishAll } from "./publish.js";

const PING_EVERY_MS = 25_000;

const readers = new Map();
const http = createServer();
const server = new WebSocketServer({ server: http });

server.on("connection", (socket) => {
  socket.alive = true;
  socket.on("pong", () => (socket.alive = true));
  socket.on("message", (data) => {
    const { subscribe, publish } = JSON.parse(data);
    if (publish) return publishAll(publish, (text) => readers.get(publish.topic).forEach((reader) => reader.send(text)));
    socket.topics = subscribe;
    for (const topic of socket.topics) {
      if (!readers.has(topic)) readers.set(topic, new Set());
      readers.get(topic).add(socket);
    }
    socket.send('{"subscribed":true}');
  });
  socket.on("close", () => socket.topics?.forEach((topic) => readers.get(topic).delete(socket)));
});

setInterval(() => {
  for (const socket of server.clients) {
    if (!socket.alive) {
      socket.terminate();
      continue;
    }
    socket.alive = false;
    socket.ping();
  }
}, PING_EVERY_MS);

http.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${http.address().port}`));
