import assert from 'node:assert/strict'

/** What every driver says in the troubles of the first five minutes, word for word but for the names. */
const sentences = {
  credentials:
    /^(.+) at (.+) refused (user "[^"]+"|a connection without a user): check user and password, in the URL or the native options$/,
  address: /(.+) at (.+) cannot be reached \((.+)\): check host and port, and that the broker is running$/,
  tls: /(.+) at (.+) and we could not agree on TLS \((.+)\): (check that this port speaks TLS|the port seems to expect TLS)/,
  rights: /^(.+): (.+) does not allow this for (user "[^"]+"|this user) \((.+)\); grant (.+)$/,
  definition: /^(.+) is (.+) in its definition, but exists at the broker as (.+): (.+)$/,
} as const

/** Holds an error's message against the sentence of its trouble, and asks for the names that must be in it. */
export function assertFirstWords(
  trouble: keyof typeof sentences,
  message: string,
  names: readonly string[] = [],
): void {
  assert.match(message, sentences[trouble], `not the sentence for wrong ${trouble}: "${message}"`)
  assert.ok(!message.includes('\n'), `more than one line: "${message}"`)
  for (const name of names) assert.ok(message.includes(name), `"${message}" does not name ${name}`)
}
