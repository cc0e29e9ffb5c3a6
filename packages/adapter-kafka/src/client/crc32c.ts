/** The polynomial of CRC-32C (RFC 3720, appendix B.4), its bits in reverse. */
const polynomial = 0x82f63b78

/** How many bytes are taken at a time. */
const slices = 8

/** At `slice * 256 + byte`: what a byte does to the checksum that so many bytes later is reached. */
const tables = new Int32Array(slices * 256)
for (let byte = 0; byte < 256; byte += 1) {
  let crc = byte
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1
  tables[byte] = crc
}
for (let at = 256; at < tables.length; at += 1) {
  const crc = tables[at - 256] ?? 0
  tables[at] = (tables[crc & 0xff] ?? 0) ^ (crc >>> 8)
}

function look(slice: number, byte: number): number {
  return tables[slice * 256 + (byte & 0xff)] ?? 0
}

/** The checksum of a record batch (Kafka documentation, "Record Batch"), eight bytes at a time. */
export function crc32c(buffer: Buffer): number {
  // Its reads are compiled to a load, those of a buffer are calls: twice as fast.
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  let crc = -1
  let at = 0
  for (const end = buffer.length - slices; at <= end; at += slices) {
    const low = crc ^ view.getInt32(at, true)
    const high = view.getInt32(at + 4, true)
    crc =
      look(7, low) ^
      look(6, low >>> 8) ^
      look(5, low >>> 16) ^
      look(4, low >>> 24) ^
      look(3, high) ^
      look(2, high >>> 8) ^
      look(1, high >>> 16) ^
      look(0, high >>> 24)
  }
  for (; at < buffer.length; at += 1) crc = look(0, crc ^ (buffer[at] ?? 0)) ^ (crc >>> 8)
  return ~crc >>> 0
}
