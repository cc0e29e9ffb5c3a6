/**
 * Keeps the latest result, for what is asked for again at once: messages of one millisecond, which come one after the
 * other, share its texts, and making one takes longer than the rest around it.
 */
export function rememberLast<Key, Value>(make: (key: Key) => Value): (key: Key) => Value {
  let last: { readonly key: Key; readonly value: Value } | undefined
  return (key) => {
    if (last === undefined || last.key !== key) last = { key, value: make(key) }
    return last.value
  }
}
