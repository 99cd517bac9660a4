import assert from 'node:assert/strict'
import pino from 'pino'
import { test } from 'node:test'
import { createMetrics } from '../src/adapters/metrics.ts'
import { loadConfig } from '../src/config/config.ts'
import { closing } from '../src/process/closing.ts'
import { startRuns, type Process } from '../src/process/shared.ts'
import { plan } from '../src/runs/letters.ts'
import { start } from '../src/runs/run.ts'
import { readRun } from '../src/runs/read-store.ts'
import { testWorld } from './harness.ts'
import { until } from './process-kit.ts'
import { ALL } from './redrive-kit.ts'
import { done, refunded } from './refunds-kit.ts'

for (const fee of ['keep', 'return'] as const) {
  test(`a run that a process carries out repeats refunds as its settings say (fee: ${fee})`, async (t) => {
    const world = await testWorld(t)
    const { id } = await done(world)
    world.gateway.script = ['declined']
    const refundId = await refunded(world, id, '50', fee)
    await world.work()
    const { run } = await plan(world.world, ALL, 'jane')
    const by = { actor: 'jane', reason: 'back', requestId: 'r', ratePerSecond: 1 }
    await start(world.world, run.id, by)

    const metrics = createMetrics({ role: 'test', version: '0', elapsedMs: () => 0 })
    t.after(() => metrics.close())
    const config = loadConfig({ REFUND_FEE: fee })
    const stops = closing()
    const log = pino({ level: 'silent' })
    // Nothing else of a process is asked for.
    startRuns({ db: world.db, config, metrics, log, stops } as unknown as Process)
    await until('the run is done', async () => {
      return (await readRun(world.db.global, run.id))?.state === 'done'
    })
    await stops.close()
    const rows = await world.sql<{ id: bigint; fee: bigint }>(
      `select id, fee_returned as fee from payments where type = 'refund' order by id`,
    )
    assert.equal(rows.length, 2)
    assert.equal(rows[0]?.id, refundId)
    const returned = fee === 'return' ? 100n : 0n
    assert.deepEqual(
      rows.map((row) => row.fee),
      [returned, returned],
    )
  })
}
