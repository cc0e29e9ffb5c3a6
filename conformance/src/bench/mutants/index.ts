import { administration } from './administration.ts'
import { changingTopics } from './changing-topics.ts'
import { codecs } from './codecs.ts'
import { consuming } from './consuming.ts'
import { deadLettering } from './dead-lettering.ts'
import { encoding } from './encoding.ts'
import { foreignMessages } from './foreign-messages.ts'
import { lifecycle } from './lifecycle.ts'
import type { Mutant } from './mutant.ts'
import { policies } from './policies.ts'
import { producing } from './producing.ts'
import { receiving } from './receiving.ts'
import { registration } from './registration.ts'
import { requests } from './requests.ts'
import { sending } from './sending.ts'
import { sendingFaults } from './sending-faults.ts'
import { settling } from './settling.ts'
import { unhandled } from './unhandled.ts'

export const mutants: readonly Mutant[] = [
  ...sending,
  ...sendingFaults,
  ...receiving,
  ...settling,
  ...deadLettering,
  ...consuming,
  ...registration,
  ...policies,
  ...requests,
  ...producing,
  ...encoding,
  ...codecs,
  ...lifecycle,
  ...administration,
  ...changingTopics,
  ...foreignMessages,
  ...unhandled,
]
