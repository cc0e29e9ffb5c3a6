import type { Section } from '../case/case.ts'
import { administration } from './administration.ts'
import { badInput } from './bad-input.ts'
import { basics } from './basics.ts'
import { bodies } from './bodies.ts'
import { brokerFaults } from './broker-faults.ts'
import { changingTopics } from './changing-topics.ts'
import { codecs } from './codecs.ts'
import { concurrency } from './concurrency.ts'
import { connections } from './connections.ts'
import { counters } from './counters.ts'
import { deadLetters } from './dead-letters.ts'
import { delays } from './delays.ts'
import { exportedLetters } from './exported-letters.ts'
import { failedReceives } from './failed-receives.ts'
import { foreignMessages } from './foreign-messages.ts'
import { groups } from './groups.ts'
import { hangingHandlers } from './hanging-handlers.ts'
import { idempotency } from './idempotency.ts'
import { killedMembers } from './killed-members.ts'
import { lackingFeatures } from './lacking-features.ts'
import { metadata } from './metadata.ts'
import { order } from './order.ts'
import { orderFaults } from './order-faults.ts'
import { policies } from './policies.ts'
import { refusedConnections } from './refused-connections.ts'
import { requests } from './requests.ts'
import { retries } from './retries.ts'
import { sendingFaults } from './sending-faults.ts'
import { leases, settlement } from './settlement.ts'
import { shutdown } from './shutdown.ts'
import { stages } from './stages.ts'
import { standstill } from './standstill.ts'
import { streams } from './streams.ts'
import { stress } from './stress.ts'
import { types } from './types.ts'
import { unhandled } from './unhandled.ts'
import { unhandledKeys } from './unhandled-keys.ts'
import { unsettled } from './unsettled.ts'

/** The contract, in its order. */
export const sections: readonly Section[] = [
  { title: 'Basics', cases: [...basics, ...connections] },
  { title: 'Groups and fan-out', cases: groups },
  { title: 'Types and wildcards', cases: [...types, ...unhandled, ...unhandledKeys] },
  { title: 'Settlement', cases: [...settlement, ...leases] },
  { title: 'Retries', cases: retries },
  { title: 'Policies of handlers', cases: policies },
  { title: 'Dead letters', cases: [...deadLetters, ...exportedLetters] },
  { title: 'Order', cases: [...order, ...orderFaults, ...killedMembers] },
  { title: 'Concurrency and backpressure', cases: concurrency },
  { title: 'Delay, expiry, priority', cases: delays },
  { title: 'Bodies and metadata', cases: [...bodies, ...metadata] },
  { title: 'Codecs and stages', cases: [...codecs, ...stages] },
  { title: 'Idempotency', cases: idempotency },
  { title: 'Crash and shutdown', cases: shutdown },
  { title: 'Counters', cases: counters },
  { title: 'Sending through faults', cases: sendingFaults },
  { title: 'Failed receives and settlements', cases: [...failedReceives, ...unsettled] },
  { title: 'Handlers that hang', cases: [...hangingHandlers, ...standstill] },
  { title: 'Broker faults', cases: brokerFaults },
  { title: 'Bad input', cases: [...badInput, ...foreignMessages] },
  { title: 'Drivers that lack something', cases: lackingFeatures },
  { title: 'Administration', cases: [...administration, ...changingTopics] },
  { title: 'Requests and streams', cases: [...requests, ...streams] },
  { title: 'First five minutes', cases: refusedConnections },
  { title: 'Stress', cases: stress },
]
