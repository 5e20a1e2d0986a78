// Bun's server, which is uWebSockets inside: topics are its own, and so is the sending to all of their readers.
import { publishAll } from "./publish.js";

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("WebSocket only", { status: 426 })),
  websocket: {
    message(socket, data) {
      const { subscribe, publish } = JSON.parse(data);
      if (publish) return publishAll(publish, (text) => server.publish(publish.topic, text));
      for (const topic of subscribe) socket.subscribe(topic);
      socket.send('{"subscribed":true}');
    },
  },
});

console.log(`127.0.0.1:${server.port}`);
