// Neither package has types.
declare module 'snappyjs' {
  const snappyjs: Readonly<Record<'compress' | 'uncompress', (bytes: Uint8Array) => Uint8Array>>
  export default snappyjs
}

declare module 'lz4js' {
  const lz4js: Readonly<Record<'compress' | 'decompress', (bytes: Uint8Array) => Uint8Array>>
  export default lz4js
}
