import { SkipMessage } from './errors.ts'

/** Acks a message whose effect another copy of it has had. */
export class SkipDuplicate extends SkipMessage {}
