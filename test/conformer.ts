import type { TestContext } from 'node:test'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import type { Gateway, RawNotice } from '../src/ports.ts'
import type { ManualClock } from './harness.ts'

/** Words of all gateways. */
export const WORDS = ['success', 'declined', 'pending'] as const
export type Word = (typeof WORDS)[number]

/** The vocabulary of a driver: every shape that a body can have, and its table of answers. */
export interface Vocabulary {
  readonly shapes: readonly string[]
  /** Shapes that are words about our payment. */
  readonly words: Readonly<Record<Word, string>>
  /** The shape of the driver's own error about a request. */
  readonly refusal: string
  charge(status: number | null, shape: string, sent?: boolean): string
  lookup(status: number | null, shape: string): string
  /** A body of a shape about an operation, as the gateway sends it. */
  body(shape: string, operation: GatewayOperation): string
  /** What answers to it carry beside. */
  headers?(operation: GatewayOperation): string
}

/** What a notice is about. */
export interface About {
  /** The gateway's own reference. */
  readonly ref: string
  readonly paymentId: bigint
  /** What has happened: of each kind there is one. */
  readonly event: 'success' | 'declined'
}

/** How a gateway sends notices. */
export interface Noticing {
  /** As it sends one; of two about the same each is the same notice, sent again. */
  of(about: About): RawNotice
  /** The same notice as nobody but an attacker sends it. */
  readonly forged: readonly ((raw: RawNotice) => RawNotice)[]
}

/** What a gateway can be told to do. */
export type Behaviour = 'accept' | 'decline' | 'lose_reply' | 'fail' | 'refuse' | 'disown' | 'take'

/** A gateway driver against a gateway that does as it is told. */
export interface Conformer {
  readonly gateway: Gateway
  /** The same driver, against an address where nobody listens. */
  readonly dead: Gateway
  /** The same driver, against another address. */
  at(url: string): Gateway
  /** The time of the driver and of the gateway. */
  readonly clock: ManualClock
  /** What its gateway's answers mean. */
  readonly vocabulary: Vocabulary
  /** The charge of the suite with all that the gateway needs, and how its gateway may name it. */
  readonly charge: GatewayOperation
  readonly ref: string
  /**
   * From now on the gateway accepts, declines, executes and loses the reply, fails, refuses
   * requests, does not know us, or takes charges and finishes them after `lateMs`.
   */
  behave(how: Behaviour, lateMs?: number): void
  /** Amounts that the gateway takes; not there: any. */
  readonly amounts?: readonly bigint[]
  /** How many times the gateway charged this payment, by its own books. */
  charged(paymentId: bigint): number
  /** A charge is refunded in the gateway's own dashboard; not there: nobody can do that. */
  comesBack?(ref: string, amount: bigint): Promise<unknown>
  /** How the gateway sends notices; not there: it sends none. */
  readonly notices?: Noticing
  /** The gateway's own references of what it charged for a payment. */
  refs?(paymentId: bigint): readonly string[]
}

/** A test that every driver passes. */
export type Conform = (
  what: string,
  body: (made: Conformer, t: TestContext) => Promise<unknown>,
) => void
