export async function runMatrix(_options: { readonly check: boolean }): Promise<boolean> {
  throw new Error('Not there yet')
}
