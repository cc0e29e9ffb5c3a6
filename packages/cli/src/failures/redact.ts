const hidden = '***'

const credentialsInUrl = /(?<=[a-z][a-z0-9+.-]*:\/\/[^\s:@/?#]*:)[^\s@/?#]+(?=@)/gi

const secretQuery = /(?<=[?&][^=&\s]*(?:password|passphrase|secret|token|credential|key)[^=&\s]*=)[^&\s"']+/gi

const secretName = /password|passphrase|secret|token/i

/** A URL, or a text with URLs in it, without passwords. Users stay: they help to find the mistake. */
export function redactUrls(text: string): string {
  return text.replaceAll(credentialsInUrl, hidden).replaceAll(secretQuery, hidden)
}

/** Takes the secrets of this command's connection out of what people read. */
export class Redactor {
  readonly #secrets = new Set<string>()

  /** A URL's password, as it stands there and decoded, is a secret from now on. */
  learnUrl(url: string): void {
    for (const [secret] of url.matchAll(credentialsInUrl)) this.learn(secret)
  }

  learn(secret: string): void {
    if (secret === '') return
    this.#secrets.add(secret)
    try {
      this.#secrets.add(decodeURIComponent(secret))
    } catch {
      // A broken percent escape: there is no other form of it.
    }
  }

  /** Native options: passwords, tokens and URLs in them. */
  learnOptions(options: object): void {
    for (const [name, value] of Object.entries(options)) {
      if (typeof value === 'object' && value !== null) this.learnOptions(value)
      else if (typeof value !== 'string') continue
      else if (secretName.test(name)) this.learn(value)
      else this.learnUrl(value)
    }
  }

  redact(text: string): string {
    let redacted = redactUrls(text)
    for (const secret of this.#secrets) {
      // A short password may also be a part of other words, which have to stay legible.
      const escaped = secret.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
      redacted = redacted.replaceAll(
        new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, 'gu'),
        hidden,
      )
    }
    return redacted
  }
}
