// Answers each line of standard input with what the generated types make of it.
using System;
using System.Linq;
using Amphi.Sample;

public static class Driver
{
    private static string Hex(byte[] bytes) { return string.Concat(bytes.Select(b => b.ToString("x2"))); }

    private static byte[] Unhex(string text)
    {
        return Enumerable.Range(0, text.Length / 2).Select(i => Convert.ToByte(text.Substring(2 * i, 2), 16)).ToArray();
    }

    private static string Float(float value)
    {
        return "x" + BitConverter.ToUInt32(BitConverter.GetBytes(value), 0).ToString("x8");
    }

    private static float Unfloat(string text)
    {
        return BitConverter.ToSingle(BitConverter.GetBytes(Convert.ToUInt32(text.Substring(1), 16)), 0);
    }

    private static string Answer(string what, string[] words)
    {
        string first = words.Length > 0 ? words[0] : "";
        switch (what)
        {
            case "Body":
                Body body = Body.Read(words.Select(int.Parse).ToArray());
                return string.Join(" ", body.At) + " " + Float(body.Height) + " " + body.Turn + " " + body.Owner + " "
                    + body.Level + " " + body.Tilt + " " + (body.Awake ? 1 : 0);
            case "Hit":
                Hit hit;
                if (Hit.Kind != 1 || !Hit.TryRead(Unhex(first), out hit)) return "none";
                return hit.Seat + " " + string.Join(" ", hit.At) + " " + Float(hit.Strength);
            case "Bought":
                Bought bought;
                return Bought.TryRead(Unhex(first), out bought) ? (bought.Ok ? 1 : 0) + " " + bought.Gold : "none";
            case "Buy":
                var buy = new Buy { Item = ushort.Parse(words[0]), Count = sbyte.Parse(words[1]), Price = Unfloat(words[2]) };
                return Hex(buy.Write());
            default:
                var stick = new Stick
                {
                    Way = new[] { sbyte.Parse(words[0]), sbyte.Parse(words[1]) },
                    Aim = Unfloat(words[2]),
                    Slot = uint.Parse(words[3]),
                    Jump = words[4] == "1",
                };
                var to = new BitWriter();
                stick.Write(to);
                return Hex(to.Finish());
        }
    }

    public static void Main()
    {
        for (string line = Console.ReadLine(); line != null; line = Console.ReadLine())
        {
            string[] words = line.Split(new[] { ' ' }, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length > 0) Console.WriteLine(Answer(words[0], words.Skip(1).ToArray()));
        }
    }
}
