/** Of each case: it starts a dozen processes, one after the other. */
export const timeoutMs = 300_000

/** How long a process may take to begin its work, or to end it: it loads an adapter first. */
export const patienceMs = 90_000
