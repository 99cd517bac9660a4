import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { putOffLog } from '../src/http/put-off-log.ts'
import { Overloaded, Unavailable } from '../src/ports.ts'

test('refusals are counted and logged once a second, without stacks', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const lines: Record<string, unknown>[] = []
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const putOff = putOffLog()
  const told = () =>
    lines.splice(0).map(({ code, requests, reason, err, stack }) => {
      assert.deepEqual([err, stack], [undefined, undefined])
      return [code, requests, reason]
    })

  for (let request = 0; request < 2_000; request += 1) putOff('overloaded', new Overloaded(), log)
  assert.deepEqual(told(), [['overloaded', 1, 'Overloaded']])
  putOff('database_unavailable', new Unavailable('away'), log)
  assert.deepEqual(told(), [['database_unavailable', 1, 'away']])
  t.mock.timers.tick(1_000)
  assert.deepEqual(told(), [['overloaded', 1_999, 'Overloaded']])
  t.mock.timers.tick(999)
  putOff('overloaded', new Overloaded(), log)
  assert.deepEqual(told(), [], 'the line of this second has been written')
  t.mock.timers.tick(1)
  assert.deepEqual(told(), [['overloaded', 1, 'Overloaded']])
  t.mock.timers.tick(1_000)
  putOff('overloaded', new Overloaded(), log)
  assert.deepEqual(told(), [['overloaded', 1, 'Overloaded']], 'and after a quiet second at once')
})
