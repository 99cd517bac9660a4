import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { loadOn, recorder } from '../measure.ts'
import { residentMb } from '../processes.ts'
import type { Rig, Running } from '../rig.ts'
import { rounds, type Question } from '../scenario.ts'

export const memory: Question = {
  name: 'memory',
  title: 'Resident memory of the one-process service under full load, database aside',
  async run(rig) {
    const record = recorder()
    const gateway = await rig.run('gateway.ts', {})
    const ms = rig.quick ? 5_000 : 15_000
    const ours = await rig.database('bench_memory')
    const env = {
      DATABASE_URL: ours.url,
      PAYMENT_GATEWAY_URL: gateway.url,
      GATEWAY_ECHO: 'required',
    }
    record.add('at its highest', 'ours', await highest(rig, await rig.start('start', env), ms), {
      unit: 'MB',
    })
    const mocked = await rig.database('bench_memory_mock')
    const own = { DATABASE_URL: mocked.url, DATA_DIR: folder(rig, 'memory') }
    const peak = await highest(rig, await rig.start('start', own), ms)
    record.add('with the built-in mock gateway, which forgets no charge', 'ours', peak, {
      unit: 'MB',
    })
    return { measures: record.measures(), books: [ours, mocked] }
  },
}

async function highest(rig: Rig, service: Running, ms: number): Promise<number> {
  let peak = 0
  const sampler = setInterval(() => (peak = Math.max(peak, residentMb(service.pid))), 100)
  await loadOn(rig, 'memory', service, { connections: 128, ms })
  clearInterval(sampler)
  await service.stop()
  return peak
}

export const cold: Question = {
  name: 'cold',
  title: 'Cold start: from an empty data folder to the first accepted payment',
  async run(rig) {
    const record = recorder()
    for (const round of rounds(rig)) {
      const startMs = performance.now()
      const service = await rig.start('start', { DATA_DIR: folder(rig, `cold-${round}`) })
      const user = await ask(service, 'users/', { balance: 1_000 })
      const payment = await ask(service, 'payments/deposit', { user_id: user.id, deposit: 200 })
      if (payment.status !== 'processing') throw new Error('the first payment was not accepted')
      record.add('first accepted payment', 'ours', (performance.now() - startMs) / 1_000, {
        unit: 's',
      })
      await service.stop()
    }
    return { measures: record.measures() }
  },
}

/** Gone with the folder of the rig. */
function folder(rig: Rig, name: string): string {
  const path = join(dirname(dirname(dirname(rig.program))), name)
  mkdirSync(path, { recursive: true })
  return path
}

async function ask(
  service: Running,
  path: string,
  body: object,
): Promise<{ id?: number; status?: string }> {
  const answer = await fetch(`${service.url}/api/v1/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return (await answer.json()) as { id?: number; status?: string } // The API's own words.
}
