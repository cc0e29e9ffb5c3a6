export interface Taken {
  readonly wallMs: number
  /** Of all threads of the process. */
  readonly cpuMs: number
}

/** What one turn of a contender took. */
export interface Turn {
  readonly send: Taken
  readonly handle: Taken
}
