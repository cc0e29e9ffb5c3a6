/** Keeps a processor busy. */
export default function (
  { data }: { readonly data: { readonly ms: number } },
  { attempt }: { readonly attempt: number },
) {
  const end = performance.now() + data.ms
  while (performance.now() < end);
  return { attempt, children: [] }
}
