/**
 * How much goes into one call of a script, which holds up everybody else while it runs. One larger message goes alone.
 * Items are `{ bytes }`.
 */
export const bounds = {
  maxBytes: 512 * 1024,
  maxItems: 200,
  bytesOf: ({ bytes }: { readonly bytes: number }) => bytes,
} as const
