// express-session with @quixo3/prisma-session-store.
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaSessionStore } from '@quixo3/prisma-session-store';
import { serve } from './app.js';
import { PrismaClient } from './generated/index.js';

const adapter = new PrismaPg({ connectionString: process.env.DATABASE_URL, max: 10 });
const prisma = new PrismaClient({ adapter });

// What `prisma db push` makes of schema.prisma; that command needs an engine to be downloaded.
await prisma.$executeRaw`CREATE TABLE IF NOT EXISTS "Session" (
  "id" TEXT NOT NULL,
  "sid" TEXT NOT NULL,
  "data" TEXT NOT NULL,
  "expiresAt" TIMESTAMP(3) NOT NULL,
  CONSTRAINT "Session_pkey" PRIMARY KEY ("id")
)`;
await prisma.$executeRaw`CREATE UNIQUE INDEX IF NOT EXISTS "Session_sid_key" ON "Session" ("sid")`;

serve(new PrismaSessionStore(prisma, {
  checkPeriod: 2 * 60 * 1000,
  dbRecordIdIsSessionId: true,
}));
