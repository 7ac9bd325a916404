"""Meta-train LEO: python train.py --flagfile=configs/mini_1shot.cfg"""

from leo_tf.commands.main import train_main

if __name__ == "__main__":
    train_main()
