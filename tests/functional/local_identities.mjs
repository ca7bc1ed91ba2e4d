// Reads one object through a grant with the AWS SDK for JavaScript: GetDataAccess, then GetObject with its keys. Keys and
// endpoints come from the environment. SDK_FOR_JAVASCRIPT is a folder with node_modules in it.

import { createRequire } from "node:module";
import { join } from "node:path";
import dns from "node:dns";

const require = createRequire(join(process.env.SDK_FOR_JAVASCRIPT, "package.json"));
const { GetObjectCommand, S3Client } = require("@aws-sdk/client-s3");
const { GetDataAccessCommand, S3ControlClient } = require("@aws-sdk/client-s3-control");

const [account, bucket, key] = process.argv.slice(2);
// The one line that S3 Control needs where `123456789012.localhost` does not resolve.
const lookup = (_, options, done) => dns.lookup("127.0.0.1", options, done);
const control = new S3ControlClient({ requestHandler: { httpAgent: { lookup } } });
const target = `s3://${bucket}/${key}`;
const question = { AccountId: account, Target: target, TargetType: "Object", Permission: "READ" };
const { Credentials: held } = await control.send(new GetDataAccessCommand(question));
const credentials = { accessKeyId: held.AccessKeyId, secretAccessKey: held.SecretAccessKey, sessionToken: held.SessionToken };
const answer = await new S3Client({ credentials }).send(new GetObjectCommand({ Bucket: bucket, Key: key }));
console.log(await answer.Body.transformToString());
