import { expect, test } from 'vitest'
import { formatClaim, parseClaim } from './claim.ts'

const id = '2026-11-29/0199f3a2-0000-4000-8000-00000000000a'

test.each([[[]], [['billing']], [['billing', 'Shipping.v2', 'a-b_c']]])(
  'a claim with the groups %j is read back',
  (groups) => {
    expect(parseClaim(formatClaim({ id, groups }))).toEqual({ id, groups })
  },
)

test.each([
  '',
  '../../etc/passwd',
  `../${id}`,
  `${id}/..`,
  `${id};`,
  `${id};,`,
  `${id};a,`,
  `${id};a b`,
  `${id};../a`,
  `${id}\n`,
  `${id}.done-0`,
  id.toUpperCase(),
  '2026-11-29/..',
  '2026-11-29/%2e%2e',
  '2026-11-29\\0199f3a2-0000-4000-8000-00000000000a',
])('%j is none', (text) => expect(parseClaim(text)).toBeUndefined())
