export async function runMutants(): Promise<boolean> {
  throw new Error('Not there yet')
}
