import type { Traffic } from '../../tools/load/plan.ts'
import { progress } from '../../src/adapters/terminal.ts'
import { fillHistory } from '../backlog.ts'
import { ACCEPT, loadOn, recorder } from '../measure.ts'
import { rounds, runMs, type Question } from '../scenario.ts'
import { openApi } from './accept.ts'

export const history: Question = {
  name: 'history',
  title: 'Accept and read with a long history against an empty database',
  async run(rig) {
    const record = recorder()
    const count = rig.rows.history
    const empty = await openApi(rig, 'bench_history_empty')
    const full = await openApi(rig, 'bench_history_full')
    const bar = progress('history', count)
    await fillHistory(full.database, count, (done) => bar.tick(done))
    bar.done()
    const [size] = await full.database.sql<{ mb: number }>(
      'select (pg_database_size(current_database()) / 1048576)::int as mb',
    )
    const first = await loadOn(rig, 'payments to read', empty.api, {
      connections: 128,
      ms: 1_000,
    })
    const sides = [
      ['empty', empty.api, first.load.done],
      ['full', full.api, count],
    ] as const
    for (const _ of rounds(rig)) {
      for (const [side, api, payments] of sides) {
        const seen = await loadOn(rig, `accept, ${side}`, api, {
          connections: 128,
          ms: runMs(rig),
          traffic: ACCEPT,
        })
        record.add(`accept, ${side}`, 'ours', seen.load.perSecond, seen)
        const traffic: Traffic = { kind: 'read', payments: { first: 1, count: payments } }
        const load = { connections: 128, ms: runMs(rig), traffic }
        const reads = await loadOn(rig, `GET, ${side}`, api, load)
        record.add(`GET, ${side}`, 'ours', reads.load.perSecond, reads)
      }
    }
    return {
      measures: record.measures(),
      facts: [`${count.toLocaleString('en-US')} payments are ${size?.mb} MB with their indexes.`],
      books: [empty.database, full.database],
    }
  },
}
