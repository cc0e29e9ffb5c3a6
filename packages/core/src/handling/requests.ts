/** Thrown inside core when the user of a pulled message asks for it to go back at once. */
export class ReleaseRequest extends Error {}

/** Thrown inside core when the user of a pulled message gives it up. */
export class DeadLetterRequest extends Error {
  readonly reason: string

  constructor(reason: string) {
    super(reason)
    this.reason = reason
  }
}
