// Bit-packed reading and writing, least significant bit first: the same layout as `shared/wire/src/bits.rs`.

/** The input ended before the wanted bits. */
export class OutOfBits extends Error {
  constructor() {
    super("the bits end too early");
  }
}

/** Appends bits to a growing buffer. */
export class BitWriter {
  private bytes: number[] = [];
  private pending = 0;
  private pendingBits = 0;

  /** Number of bits written. */
  get lengthBits(): number {
    return this.bytes.length * 8 + this.pendingBits;
  }

  /** Writes the low `count` bits of `value`, at most 32. */
  bits(value: number, count: number): void {
    let rest = value >>> 0;
    let left = count;
    while (left > 0) {
      const step = Math.min(8 - this.pendingBits, left);
      this.pending |= (rest & ((1 << step) - 1)) << this.pendingBits;
      this.pendingBits += step;
      rest >>>= step;
      left -= step;
      if (this.pendingBits === 8) {
        this.bytes.push(this.pending);
        this.pending = 0;
        this.pendingBits = 0;
      }
    }
  }

  /** Writes one bit. */
  bit(value: boolean): void {
    this.bits(value ? 1 : 0, 1);
  }

  /** Writes an unsigned number of unknown size: 6 bits of bit length, then the bits below the leading one. */
  uint(value: number): void {
    const length = 32 - Math.clz32(value);
    this.bits(length, 6);
    if (length > 1) this.bits(value & (2 ** (length - 1) - 1), length - 1);
  }

  /** The bytes, the last one filled up with zeros. */
  finish(): Uint8Array {
    const out = Uint8Array.from(this.pendingBits > 0 ? [...this.bytes, this.pending] : this.bytes);
    return out;
  }
}

/** Reads what `BitWriter` wrote; throws `OutOfBits` when the bytes end. */
export class BitReader {
  /** Index of the next bit. */
  position = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** Number of bits left, padding included. */
  get left(): number {
    return this.bytes.length * 8 - this.position;
  }

  /** Reads `count` bits, at most 32, as an unsigned number. */
  bits(count: number): number {
    if (count > this.left) throw new OutOfBits();
    const value = this.peek(count);
    this.position += count;
    return value;
  }

  /** The next `count` bits, at most 32, without reading them; zeros where the input ends. */
  peek(count: number): number {
    let value = 0;
    let got = 0;
    let at = this.position;
    while (got < count) {
      const byte = this.bytes[at >> 3] ?? 0;
      const offset = at & 7;
      const step = Math.min(8 - offset, count - got);
      value |= ((byte >> offset) & ((1 << step) - 1)) << got;
      got += step;
      at += step;
    }
    return value >>> 0;
  }

  /** Reads one bit. */
  bit(): boolean {
    return this.bits(1) === 1;
  }

  /** Reads what `BitWriter.uint` wrote. */
  uint(): number {
    const length = this.bits(6);
    if (length <= 1) return length;
    if (length > 32) throw new OutOfBits();
    return (2 ** (length - 1) + this.bits(length - 1)) >>> 0;
  }
}
