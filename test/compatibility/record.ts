import { test } from 'node:test'
import { record, startReplay, type Recorded, tokens } from './replay.ts'
import { requests } from './requests.ts'

/**
 * Record what this version answers, with `npm test -- test/compatibility/record.ts`. It is done on
 * the version whose answers are promised, and not to make a test pass.
 */
test('every request is answered', async (t) => {
  const ask = await startReplay(t)
  const answered: Recorded[] = []
  for (const asked of requests(tokens())) answered.push(await ask(asked))
  record(answered)
})
