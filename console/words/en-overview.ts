import { english } from '../exact/plural.ts'

/** What the console says of the service as a whole. */
export const EN_OVERVIEW = {
  span: 'Span',
  spans: { '15m': '15 min', '1h': '1 hour', '24h': '24 hours', '7d': '7 days' },
  acceptedPerSecond: 'Accepted per second',
  inAll: (count: string) => `${count} in this span`,
  succeededShare: 'Succeeded',
  ofEnded: (good: string, bad: string, doubt: string) =>
    `${good} succeeded, ${bad} failed, ${doubt} unknown`,
  latency: 'From acceptance to the end',
  most: (span: string) => `95 % within ${span}`,
  nothingEnded: 'Nothing ended in this span.',
  openLetters: 'Open dead letters',
  waitForYou: 'wait for a person',
  perSecond: (rate: string) => `${rate} per second`,
  ended: 'Ended',
  endedSaid: (count: string, wrong: string) => `${count} ended, ${wrong} of them badly`,
  latencyOverTime: '95 % end within',
  latencySaid: (half: string, most: string) => `half within ${half}, 95 % within ${most}`,
  latencySpread: 'How long it takes',
  wentWrong: 'Failed or unknown',
  longer: 'longer',
  upTo: (span: string) => `to ${span}`,
  p95: '95 % within',
  allWell: 'All is well: nothing waits for a person.',
  databaseConcern: (state: string) => `The database: ${state}.`,
  workerConcern: 'No worker takes payments from the queue.',
  misconfigured: (gateway: string, what: string) => `${gateway}, ${what}: our settings are wrong.`,
  breakerOpen: (gateway: string, what: string) => `${gateway}, ${what}: out of reach.`,
  unknownConcern: (count: number) =>
    `Nobody knows how ${count} ${english(count, 'payment')} ended; the money stays held.`,
  failedConcern: (count: number) => `${count} failed ${english(count, 'payment')} to look at.`,
}
