export { type RedisJobStore, type RedisJobStoreOptions, redisJobStore } from './jobs/redis-job-store.ts'
