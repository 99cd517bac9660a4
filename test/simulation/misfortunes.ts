import { LEASE_MS } from './limits.ts'
import { taskLock, userLock } from './handlers.ts'
import type { Process } from './scheduler.ts'
import type { World } from './world-types.ts'

const IDLE_TRANSACTION_MS = 10_000

/** After any step a process may die or stand still. */
export function misfortune(world: World): void {
  const { faults } = world
  if (faults.fires('api_crash')) crash(world, world.apis, (slot) => world.startApi(slot))
  if (faults.fires('worker_crash')) crash(world, world.workers, (slot) => world.startWorker(slot))
  if (faults.fires('row_locked')) seize(world)
  if (faults.fires('database_read_only')) {
    world.db.turnReadOnly(faults.between(100, LEASE_MS * 3))
  }
  if (faults.fires('pause')) {
    const processes = [...world.apis, ...world.workers].map(({ process }) => process)
    const ms = faults.between(1_000, LEASE_MS * 3)
    if (processes.length > 0) standStill(world, faults.pick(processes), ms)
  }
}

/** Somebody at a prompt locks a row that matters, and takes their time. */
function seize({ faults, tables, db }: World): void {
  const keys = [
    ...[...tables.users.rows.keys()].map(userLock),
    ...[...tables.tasks.rows.keys()].map(taskLock),
  ]
  if (keys.length > 0) db.seize(faults.pick(keys), faults.between(100, LEASE_MS * 3))
}

function crash(
  world: World,
  slots: readonly { readonly process: Process }[],
  restart: (slot: number) => void,
): void {
  const { faults, steps, db } = world
  if (slots.length === 0) return
  const slot = faults.between(0, slots.length)
  const { process } = slots[slot] as { process: Process }
  if (process.dead) return
  const survive = faults.between(0, 2) === 0
  db.abandon(process, survive)
  steps.kill(process, survive)
  const atMs = steps.nowMs() + faults.between(100, LEASE_MS + 5_000)
  void steps.step(steps.spawn('supervisor'), `restarts ${process.name}`, { atMs }).then(() => {
    restart(slot)
  })
}

/** Its open transactions end when they have been idle for too long. */
export function standStill({ steps, db }: World, process: Process, ms: number): void {
  steps.pause(process, ms)
  const atMs = steps.nowMs() + IDLE_TRANSACTION_MS
  void steps.step(steps.spawn('supervisor'), 'ends idle transactions', { atMs }).then(() => {
    if (process.pausedUntilMs > steps.nowMs()) db.expire(process)
  })
}
