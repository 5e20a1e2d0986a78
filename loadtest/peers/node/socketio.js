// Socket.IO as it is, over WebSocket alone: topics are rooms; it pings every 25 s by itself.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { publishAll } from "./publish.js";

const http = createServer();
const server = new Server(http, { transports: ["websocket"], serveClient: false });

server.on("connection", (socket) => {
  socket.on("subscribe", (topics, done) => {
    socket.join(topics);
    done();
  });
  socket.on("publish", (work) => publishAll(work, (text) => server.to(work.topic).emit("m", text)));
});

http.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${http.address().port}`));
