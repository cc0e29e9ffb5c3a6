/** Thrown by a case that finds, while it runs, that it cannot be shown here. */
export class CaseSkipped extends Error {}
