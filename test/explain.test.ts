import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_EVIDENCE, type GatewayTerms } from '../src/domain/evidence.ts'
import { explain } from '../src/domain/explain.ts'
import { TERMS, type Facts, situation, UNKNOWN } from './explain-kit.ts'

const KEYS_ONLY: GatewayTerms = { ...TERMS, lookup: 'none' }

const LOOKUPS_ONLY: GatewayTerms = { ...TERMS, repeats: 'may_execute_again' }

const NEITHER: GatewayTerms = { ...LOOKUPS_ONLY, lookup: 'none' }

const SINCE = 'it is final since 2030-01-01T12:00:00Z'

const JANE = { actor: 'jane', reason: 'on the statement' }

/** A refund of 50.00 that returns 1.00 of the commission. */
const REFUND = { type: 'refund', parentId: 5n, feeReturned: 100n } as const

const CASES: readonly (readonly [name: string, facts: Facts, sentence: string])[] = [
  [
    'new and due',
    { task: { due: true } },
    'It was accepted and has waited for a free worker since 2030-01-01T12:00:00Z.',
  ],
  [
    'new and not due yet',
    {},
    'It was accepted, and its first attempt is due at 2030-01-01T12:00:00Z.',
  ],
  [
    'new without a task',
    { task: null },
    'It is open and has no task to finish it, which must not be: run `payments verify`.',
  ],
  [
    'being charged',
    { task: { leased: true, attempts: 1, tries: 1 } },
    'A worker is charging the gateway (attempt 2); if that worker dies, another takes over at ' +
      '2030-01-01T12:00:00Z.',
  ],
  [
    'being looked up before a second charge',
    { task: { leased: true, attempts: 2, inDoubt: true } },
    'A worker is finding out what became of an earlier charge; if that worker dies, another takes ' +
      'over at 2030-01-01T12:00:00Z.',
  ],
  [
    'its worker was lost',
    { task: { leased: true, attempts: 1, due: true } },
    'The worker that held it was lost, so a charge may have been sent and it is in doubt; the next ' +
      'free worker takes it over now.',
  ],
  [
    'not executed, with attempts left',
    { task: { tries: 2, lastError: 'connection_refused' } },
    'Try 2 was not executed (connection_refused), so no money moved; the next one is due ' +
      'at 2030-01-01T12:00:00Z.',
  ],
  [
    'in doubt, with attempts left',
    { task: { attempts: 1, tries: 1, inDoubt: true, lastError: 'timeout', due: true } },
    'It is in doubt whether the gateway executed it (timeout); now the gateway is asked, and it is ' +
      'sent again only under its own key.',
  ],
  [
    'redriven while its outcome was unknown',
    { task: { attempts: 3, inDoubt: true, lastError: 'timeout' }, redriven: true },
    'An operator redrove it and what became of its earlier charge is not known; at ' +
      '2030-01-01T12:00:00Z the gateway is asked, and it is sent again only under its own key.',
  ],
  [
    'a withdrawal of unknown outcome',
    { payment: UNKNOWN, task: { lookups: 2, lastError: 'not_found' } },
    'Nobody knows whether the gateway executed it (timeout); its 51.00 stay held, and the gateway ' +
      'is asked again at 2030-01-01T12:00:00Z (last lookup: not_found).',
  ],
  [
    'unknown by a charge, though a lookup ended it',
    {
      payment: { ...UNKNOWN, lastError: 'not_found' },
      doubtedBy: 'reset',
      task: { lookups: 1, lastError: 'not_found' },
    },
    'Nobody knows whether the gateway executed it (reset); its 51.00 stay held, and the gateway ' +
      'is asked again at 2030-01-01T12:00:00Z (last lookup: not_found).',
  ],
  [
    'unknown for a while',
    {
      payment: UNKNOWN,
      doubtedBy: 'timeout',
      task: { lookups: 4, leased: true, lastError: 'http_503' },
    },
    'Nobody knows whether the gateway executed it (timeout); its 51.00 stay held, and the gateway ' +
      'is being asked, until 2030-01-01T12:00:00Z at the latest.',
  ],
  [
    'in doubt, and refused since',
    {
      doubtedBy: 'http_502',
      task: { attempts: 2, tries: 2, inDoubt: true, lastError: 'http_429', due: true },
    },
    'It is in doubt whether the gateway executed it (http_502); now the gateway is asked, and it is ' +
      'sent again only under its own key.',
  ],
  [
    'a deposit of unknown outcome',
    { payment: { ...UNKNOWN, type: 'deposit' }, task: { lookups: 2, due: true } },
    'Nobody knows whether the gateway executed it (timeout); nothing is credited, and the gateway is ' +
      'asked again now.',
  ],
  [
    'a deposit that its gateway neither finished nor ended',
    {
      payment: { ...UNKNOWN, type: 'deposit', lastError: 'not_finished' },
      doubtedBy: 'requires_action',
      task: { lookups: 2, due: true, lastError: 'pending' },
    },
    'The gateway took it, and neither finished nor ended it in time; nothing is credited, and the ' +
      'gateway is asked again now (last lookup: pending).',
  ],
  [
    'unknown, being looked up',
    { payment: UNKNOWN, task: { lookups: 2, leased: true } },
    'Nobody knows whether the gateway executed it (timeout); its 51.00 stay held, and the gateway is ' +
      'being asked, until 2030-01-01T12:00:00Z at the latest.',
  ],
  [
    'unknown, and the worker that asked was lost',
    { payment: UNKNOWN, task: { lookups: 2, leased: true, due: true } },
    'Nobody knows whether the gateway executed it (timeout); its 51.00 stay held, and the worker ' +
      'that asked was lost, so another asks now.',
  ],
  [
    'unknown, and the gateway has no lookups',
    { payment: UNKNOWN, task: null, letter: { id: 3n, error: 'timeout' }, terms: KEYS_ONLY },
    'Nobody knows whether the gateway executed it (timeout) and the gateway cannot be asked; its ' +
      '51.00 stay held until an operator redrives or resolves dead letter 3.',
  ],
  [
    'unknown, and nothing but an operator can tell',
    { payment: UNKNOWN, task: null, letter: { id: 3n, error: 'timeout' }, terms: NEITHER },
    'Nobody knows whether the gateway executed it (timeout) and the gateway cannot be asked; its ' +
      '51.00 stay held until an operator resolves dead letter 3.',
  ],
  [
    'unknown, its key forgotten by the gateway',
    {
      payment: UNKNOWN,
      task: null,
      letter: { id: 3n, error: 'timeout' },
      terms: KEYS_ONLY,
      known: { ...NO_EVIDENCE, firstSentAgeMs: 3_500_000 },
    },
    'Nobody knows whether the gateway executed it (timeout) and the gateway cannot be asked; its ' +
      '51.00 stay held until an operator resolves dead letter 3.',
  ],
  [
    'unknown, out of the queue, and the gateway can be asked by now',
    { payment: UNKNOWN, task: null, letter: { id: 3n, error: 'timeout' }, terms: LOOKUPS_ONLY },
    'Nobody knows whether the gateway executed it (timeout) and it is not looked up any more; its ' +
      '51.00 stay held until an operator redrives or resolves dead letter 3.',
  ],
  [
    'unknown, with a yes that nobody acted on',
    {
      payment: UNKNOWN,
      task: { lookups: 1 },
      letter: { id: 3n, error: 'timeout' },
      known: { ...NO_EVIDENCE, yes: true },
    },
    'The gateway said that it executed it, in a report that came late; redriving dead letter 3 ' +
      'settles it.',
  ],
  [
    'in doubt, and the gateway honours no keys',
    { task: { attempts: 1, tries: 1, inDoubt: true, lastError: 'timeout' }, terms: LOOKUPS_ONLY },
    'It is in doubt whether the gateway executed it (timeout); at 2030-01-01T12:00:00Z the gateway ' +
      'is asked, and it is sent again only if that proves that it never arrived.',
  ],
  [
    'in doubt, and the gateway has no lookups',
    { task: { attempts: 1, tries: 1, inDoubt: true, lastError: 'timeout' }, terms: KEYS_ONLY },
    'It is in doubt whether the gateway executed it (timeout); at 2030-01-01T12:00:00Z it is sent ' +
      'again under its own key.',
  ],
  [
    'in doubt, its key forgotten before its turn comes',
    {
      task: { attempts: 1, tries: 1, inDoubt: true, lastError: 'timeout', dueInMs: 3_600_000 },
      terms: KEYS_ONLY,
    },
    'It is in doubt whether the gateway executed it (timeout), and the gateway can neither be asked ' +
      'nor charged again safely; at 2030-01-01T12:00:00Z it becomes unknown, for an operator to ' +
      'resolve.',
  ],
  [
    'taken by the gateway and not finished',
    { task: { attempts: 1, pending: true, inDoubt: true, lastError: 'pending' } },
    'The gateway has it and has not finished it; at 2030-01-01T12:00:00Z it is asked again.',
  ],
  [
    'waiting for credentials that work',
    { task: { lastError: 'http_401' } },
    'The gateway refuses to talk to us (http_401), so no money moved and nothing is used up; it is ' +
      'tried again at 2030-01-01T12:00:00Z.',
  ],
  [
    'executed, as a late report said',
    { payment: { status: 'success', attempts: 2 }, lateYes: true },
    'The gateway executed it within 2 attempts, as a report said that came late; ' +
      `${SINCE} and nothing happens next.`,
  ],
  [
    'never sent',
    { payment: { status: 'failed', lastError: 'connection_refused' }, lastOutcome: 'not_executed' },
    `It was never sent (connection_refused) and its hold was given back; ${SINCE}, and nothing ` +
      'happens next.',
  ],
  [
    'executed',
    { payment: { status: 'success', attempts: 2, gatewayRef: 'gw-1' } },
    `The gateway executed it (reference gw-1) within 2 attempts; ${SINCE} and nothing happens next.`,
  ],
  [
    'executed, and perhaps twice',
    {
      payment: { status: 'success', attempts: 2 },
      letter: { id: 5n, error: 'maybe_charged_twice' },
    },
    'The gateway executed it within 2 attempts; it is final since 2030-01-01T12:00:00Z, but the ' +
      'gateway may have executed an earlier charge of it as well: compare with the gateway, then ' +
      'resolve dead letter 5.',
  ],
  [
    'refused as a request to the end',
    { payment: { status: 'failed', lastError: 'rejected', attempts: 3 }, lastOutcome: 'rejected' },
    `The gateway refused the request (rejected) and its hold was given back; ${SINCE}, and nothing ` +
      'happens next.',
  ],
  [
    'resolved as executed',
    { payment: { status: 'success', gatewayRef: 'gw-1' }, resolved: JANE },
    'jane resolved it as executed (reference gw-1): "on the statement"; ' +
      `${SINCE} and nothing happens next.`,
  ],
  [
    'declined',
    {
      payment: { status: 'failed', lastError: 'http_402', attempts: 1 },
      lastOutcome: 'declined',
      letter: { id: 3n, error: 'http_402' },
    },
    `The gateway declined it (http_402) and its hold was given back; ${SINCE}, and redriving dead ` +
      'letter 3 makes a new payment of it.',
  ],
  [
    'failed by a refusal after a charge in doubt',
    {
      payment: { status: 'failed', lastError: 'http_401', attempts: 2 },
      lastOutcome: 'declined',
      letter: { id: 3n, error: 'http_401' },
      known: { ...NO_EVIDENCE, doubted: true },
    },
    `The gateway declined it (http_401) and its hold was given back; ${SINCE}, but a charge of it may ` +
      'have been executed: ask the gateway before you insist on redriving dead letter 3.',
  ],
  [
    'failed, with a yes that no letter tells of',
    {
      payment: { status: 'failed', lastError: 'http_402', attempts: 1 },
      lastOutcome: 'declined',
      letter: { id: 3n, error: 'http_402' },
      known: { ...NO_EVIDENCE, yes: true },
    },
    `The gateway declined it (http_402) and its hold was given back; ${SINCE}, but some call saw the ` +
      'gateway say yes: settle it there, then resolve dead letter 3.',
  ],
  [
    'never executed',
    {
      payment: { status: 'failed', type: 'deposit', lastError: 'connection_refused', attempts: 3 },
      lastOutcome: 'not_executed',
      repeatedBy: 9n,
    },
    `None of 3 attempts was executed (connection_refused) and no money moved; ${SINCE}, and payment ` +
      '9 repeats it.',
  ],
  [
    'proven not executed',
    {
      payment: { status: 'failed', lastError: 'not_executed', attempts: 3 },
      lastOutcome: 'not_found',
    },
    `The gateway proved that it never executed it and its hold was given back; ${SINCE}, and ` +
      'nothing happens next.',
  ],
  [
    'resolved as not executed',
    { payment: { status: 'failed', lastError: 'resolved_by_operator' }, resolved: JANE },
    'jane resolved it as not executed and its hold was given back: "on the statement"; ' +
      `${SINCE}, and nothing happens next.`,
  ],
  [
    'refused for lack of funds',
    { payment: { status: 'failed', refusedFor: 'insufficient_funds' } },
    `It was refused when it arrived (insufficient_funds); ${SINCE}, and nothing happens next.`,
  ],
  [
    'charged after it failed',
    {
      payment: { status: 'failed', lastError: 'not_executed' },
      letter: { id: 4n, error: 'charged_after_failed' },
    },
    'It failed, and later the gateway said that it had charged it; nothing happens by itself: ' +
      'correct dead letter 4, which books it, or settle it there and resolve it.',
  ],
  [
    'a refund that was made after it failed',
    {
      payment: { ...REFUND, status: 'failed', lastError: 'not_executed' },
      letter: { id: 4n, error: 'charged_after_failed' },
    },
    'It failed, and later the gateway said that it had charged it; nothing happens by itself: book ' +
      'it as a return of payment 5, and resolve dead letter 4 if that does not close it.',
  ],
  [
    'a refund of unknown outcome',
    { payment: { ...REFUND, ...UNKNOWN }, task: { lookups: 1 } },
    'Nobody knows whether the gateway executed it (timeout); its 49.00 stay held, and the gateway is ' +
      'asked again at 2030-01-01T12:00:00Z.',
  ],
  [
    'canceled',
    { payment: { status: 'failed', lastError: 'canceled' } },
    'It was canceled before it was sent and its hold was given back; it is final since ' +
      '2030-01-01T12:00:00Z, and nothing happens next.',
  ],
  [
    'canceled after it was refused as a request',
    {
      payment: { status: 'failed', lastError: 'canceled', attempts: 1 },
      lastOutcome: 'rejected',
    },
    'It was canceled before it was executed and its hold was given back; it is final since ' +
      '2030-01-01T12:00:00Z, and nothing happens next.',
  ],
  [
    'canceled at its gateway',
    {
      payment: { status: 'failed', lastError: 'canceled', attempts: 1 },
      lastOutcome: 'declined',
    },
    'It was canceled at the gateway and its hold was given back; it is final since ' +
      '2030-01-01T12:00:00Z, and nothing happens next.',
  ],
  [
    'a charge-back',
    {
      payment: {
        ...REFUND,
        type: 'return',
        status: 'success',
        returnKind: 'charged_back',
        gatewayRef: 'rt_1',
      },
    },
    'A deposit was charged back (payment 5, reference rt_1); it is booked and final since ' +
      '2030-01-01T12:00:00Z.',
  ],
  [
    'corrected',
    { payment: { status: 'failed', lastError: 'declined' }, corrected: true },
    'It failed, and an operator booked that the gateway had executed it; nothing happens next.',
  ],
]

for (const [name, facts, sentence] of CASES) {
  test(`a payment is explained in one sentence: ${name}`, () => {
    assert.equal(explain(situation(facts)), sentence)
  })
}
