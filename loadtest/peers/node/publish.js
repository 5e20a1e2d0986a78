// What every peer of the bench `fanout` publishes: bursts at a steady rate, each message with its number and its time.
const BYTES_OF_NUMBERS = 24;

export function publishAll({ rounds, burst, hz, bytes }, send) {
  const padding = "x".repeat(bytes - BYTES_OF_NUMBERS);
  const start = performance.now();
  let round = 0;
  const turn = () => {
    for (let n = 0; n < burst; n++) {
      const now = Math.round((performance.timeOrigin + performance.now()) * 1000);
      send(String(round * burst + n).padStart(8, "0") + String(now).padStart(16, "0") + padding);
    }
    round += 1;
    if (round < rounds) setTimeout(turn, start + (round * 1000) / hz - performance.now());
  };
  turn();
}
